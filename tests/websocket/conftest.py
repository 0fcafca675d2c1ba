"""Servers, and connections on a pair of sockets, that end with the test."""

from __future__ import annotations

import pytest
from tests.websocket.talking import Server

import eventlet
from eventlet import websocket
from eventlet.green import socket


@pytest.fixture
def limit():
    """End a test that waits for what does not come."""
    with eventlet.Timeout(20):
        yield


@pytest.fixture
def serve(limit):
    """Start servers; they end with the test."""
    servers = []

    def start(handler, **options):
        tls = options.pop("tls", None)
        app = handler
        if not isinstance(handler, websocket.WebSocketWSGI):
            app = websocket.WebSocketWSGI(handler, **options)
        servers.append(Server(app, tls=tls))
        return servers[-1]

    yield start
    for server in servers:
        for sock in server.socks:
            sock.close()
        server.green.kill()


@pytest.fixture(params=["direct", "by methods"])
def pair(limit, request):
    """Return a server's connection, with either way to its socket, and its peer's socket."""
    ours, theirs = socket.socketpair()
    if request.param == "by methods":
        # As a tracer would: native code does not bypass it.
        ours.recv = ours.recv
    yield websocket.RFC6455WebSocket(ours, {}), theirs
    ours.close()
    theirs.close()
