"""Promises of `eventlet.websocket` on a server: connections and their messages."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.websocket.talking import DEFLATE, HEAD, echo, masked, read_all

import eventlet
from eventlet import websocket, wsgi
from eventlet._websocket.session import Session
from eventlet.green import socket


@pytest.mark.parametrize("extensions", [None, DEFLATE], ids=["plain", "deflate"])
def test_messages_are_echoed(serve, extensions):
    """Text comes back as str, data as bytes, of any size, compressed or not."""
    client = serve(echo).connect(extensions=extensions)
    noise = os.urandom(300_000)
    for message in ("", "text \u20ac", b"", b"data", "x" * 70_000, noise):
        client.send(message)
        assert client.wait() == message
    client.close()
    assert client.wait() is None


def test_large_message_is_echoed(serve):
    """A message of megabytes passes in both directions at once."""
    client = serve(echo).connect()
    message = os.urandom(1 << 16) * 64
    client.send(message)
    assert client.wait() == message


def test_messages_in_one_packet_come_one_by_one(pair):
    """What arrives together is not returned together, nor lost."""
    ws, peer = pair
    peer.sendall(b"".join(masked(f"{n}") for n in range(100)))
    assert [ws.wait() for _ in range(100)] == [str(n) for n in range(100)]


def test_messages_wait_for_room(pair):
    """A peer that reads later gets every message whole, of whatever size."""
    ws, peer = pair
    sizes = [10, 60_000, 65_521, 65_522, 65_523, 70_000, 0] * 20
    green = eventlet.spawn(
        lambda: [ws.send(bytes([n]) * size) for n, size in enumerate(sizes)]
    )
    eventlet.sleep(0)
    assert not green.dead
    client = websocket.RFC6455WebSocket(peer, {}, client=True)
    for n, size in enumerate(sizes):
        assert client.wait() == bytes([n]) * size
    green.wait()


def test_message_that_cannot_be_sent_leaves_the_connection(pair):
    """Neither text with surrogates nor an object is a message, and the next one goes out."""
    ws, peer = pair
    with pytest.raises(UnicodeEncodeError):
        ws.send("\ud800")
    with pytest.raises(TypeError, match="convert it"):
        ws.send(5)
    ws.send("next")
    assert peer.recv(100) == b"\x81\x04next"


@pytest.mark.parametrize("size", [60_000, 16 << 20])
def test_timeout_of_the_socket_holds(pair, size):
    """Who waits for longer than the socket may gets TimeoutError, and can wait again."""
    ws, peer = pair
    ws.socket.settimeout(0.02)
    frame = masked("in two halves")
    peer.sendall(frame[:9])
    with pytest.raises(TimeoutError):
        ws.wait()
    peer.sendall(frame[9:])
    assert ws.wait() == "in two halves"
    with pytest.raises(TimeoutError):
        while True:
            ws.send(b"x" * size)
    with pytest.raises(BrokenPipeError):
        ws.send("behind half a frame")


def test_socket_that_does_not_wait_is_let_be(pair):
    """A program that polls by itself gets EAGAIN, and no wait."""
    ws, peer = pair
    ws.socket.setblocking(False)
    with pytest.raises(BlockingIOError):
        ws.wait()
    peer.sendall(masked("there"))
    assert ws.wait() == "there"
    ws.send("back")
    assert peer.recv(100) == b"\x81\x04back"


def test_frames_behind_the_request_are_not_lost(serve):
    """A client may send its first messages together with the request."""
    server = serve(echo)
    data = HEAD.format(path="/", more="").encode() + masked("early") + masked("bird")
    sock, head, rest = server.ask(data)
    assert b" 101 " in head
    client = websocket.RFC6455WebSocket(sock, {}, client=True)
    if rest:
        client._feed(rest)
    assert [client.wait(), client.wait()] == ["early", "bird"]


def test_handler_is_told_about_the_request(serve):
    """Path, origin, subprotocol, version and environment are attributes."""

    def handle(ws):
        seen.append((ws.path, ws.origin, ws.protocol, ws.version))
        seen.append(ws.environ["QUERY_STRING"])

    seen = []
    app = websocket.WebSocketWSGI.configured(handle, supported_protocols=["chat"])
    server = serve(app)
    more = "Origin: http://o\r\nSec-WebSocket-Protocol: other, chat\r\n"
    sock, _, _ = server.ask(HEAD.format(path="/a?b", more=more).encode())
    read_all(sock)
    assert seen == [("/a", "http://o", "chat", 13), "b"]


def test_configured_is_a_decorator():
    """Without a handler it returns what takes one."""

    @websocket.WebSocketWSGI.configured(origin_checker=len)
    def app(ws):
        """Do nothing."""

    assert isinstance(app, websocket.WebSocketWSGI)
    assert app.origin_checker is len
    assert app.support_legacy_versions is False
    assert websocket.WebSocketWSGI(echo).support_legacy_versions is True


def test_plain_request_is_refused(serve):
    """What is no handshake gets an HTTP response."""
    _, head, _ = serve(echo).ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")


def test_server_without_its_socket_is_named():
    """A server that we cannot take the connection from leads to a clear error."""
    environ = {
        "HTTP_CONNECTION": "upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_HOST": "example.org",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    with pytest.raises(RuntimeError, match=r"eventlet\.wsgi, or with gunicorn"):
        websocket.WebSocketWSGI(echo)(environ, None)


def test_socket_of_gunicorn_is_taken(pair):
    """Gunicorn's environment names the socket by itself."""
    _, peer = pair
    environ = {
        "HTTP_CONNECTION": "upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_HOST": "example.org",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "gunicorn.socket": pair[0].socket,
    }
    green = eventlet.spawn(websocket.WebSocketWSGI(echo), environ, None)
    peer.sendall(masked("hi") + masked("", control_code=8))
    assert read_all(peer).endswith(b"\r\n\r\n\x81\x02hi\x88\x02\x03\xe8")
    assert green.wait() is wsgi.ALREADY_HANDLED


def test_connection_over_tls(serve):
    """A secure server is one on a listening socket with TLS."""
    data = Path(__file__).parents[1] / "data"
    tls = [str(data / f"localhost.{kind}") for kind in ("crt", "key")]
    client = serve(echo, tls=tls).connect()
    for message in ("text", os.urandom(100_000)):
        client.send(message)
        assert client.wait() == message
    client.close()


def test_connection_over_tls_ends_with_its_own_announcement(serve):
    """The client can tell the end from one that an attacker has made of it."""
    data = Path(__file__).parents[1] / "data"
    tls = [str(data / f"localhost.{kind}") for kind in ("crt", "key")]
    client = serve(lambda ws: None, tls=tls).connect()
    client.socket.suppress_ragged_eofs = False
    assert client.socket.recv(100) == b"\x88\x00"
    client.socket.sendall(masked(b"", control_code=8))
    assert client.socket.recv(100) == b""


def test_limits_can_be_changed(pair):
    """They hold for the frames that come from then on."""
    ws, peer = pair
    ws.max_frame_length, ws.max_message_length = 5, 8
    assert (ws.max_frame_length, ws.max_message_length) == (5, 8)
    peer.sendall(masked(b"12345", final=False) + masked(b"678", continuation=True))
    assert ws.wait() == b"12345678"
    peer.sendall(masked(b"123456"))
    peer.shutdown(socket.SHUT_WR)
    assert ws.wait() is None
    assert ws.websocket_closed


def test_message_can_be_taken_as_it_came(pair):
    """`_recv_frame` gives text, data and compressed messages, and says the end."""
    ws, peer = pair
    ws.extensions = DEFLATE
    client = Session(client=True, extensions=DEFLATE)
    for message in ("text", b"data"):
        peer.sendall(masked(message) + masked(b"?", control_code=9))
        peer.sendall(client.message_frame(message, masked=True))
        assert ws._recv_frame().getvalue() == message
        taken = ws._recv_frame()
        assert taken.decompressor is not None
        assert taken.getvalue() == message
    peer.sendall(masked(b"", control_code=8))
    with pytest.raises(websocket.ConnectionClosedError):
        ws._recv_frame()
