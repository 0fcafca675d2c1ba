"""`eventlet.websocket` against other implementations of the protocol."""

from __future__ import annotations

import os

import pytest

import eventlet
import eventlet.asyncio
from eventlet import tpool, websocket, wsgi


def echo(ws):
    """Send back what comes."""
    while (message := ws.wait()) is not None:
        ws.send(message)


MESSAGES = ["", "text \u20ac \U0001f600", b"", os.urandom(5), os.urandom(200_000)]


@pytest.fixture(autouse=True)
def _limit():
    with eventlet.Timeout(40):
        yield


@pytest.fixture
def serve():
    """Start servers; the function returns the address of one."""
    running = []

    def start(app):
        listener = eventlet.listen(("127.0.0.1", 0))
        running.append(eventlet.spawn(wsgi.server, listener, app, log_output=False))
        host, port = listener.getsockname()
        return f"ws://{host}:{port}/"

    yield start
    for green in running:
        green.kill()


@pytest.mark.parametrize("compression", ["deflate", None])
def test_websockets_client_is_served(serve, compression):
    """Messages whole and in fragments, a ping and the end, with and without compression."""
    client = pytest.importorskip("websockets.sync.client")
    app = websocket.WebSocketWSGI.configured(echo, supported_protocols=["b", "a"])

    def talk(url):
        found = []
        with client.connect(
            url, compression=compression, subprotocols=["a", "b"], max_size=None
        ) as ws:
            offered = [extension.name for extension in ws.protocol.extensions]
            assert offered == (["permessage-deflate"] if compression else [])
            assert ws.subprotocol == "a"
            for message in MESSAGES:
                ws.send(message)
                found.append(ws.recv())
            ws.send(["frag", "men", "ts \u20ac"])
            found.append(ws.recv())
            assert ws.ping().wait(10)
            ws.close(4001, "done")
        return found, ws.close_code

    found, code = tpool.execute(talk, serve(app))
    assert found == [*MESSAGES, "fragments \u20ac"]
    assert code == 4001


def test_websockets_client_is_told_the_end(serve):
    """It gets the code and the reason that the handler gives, and a refusal's reason."""
    client = pytest.importorskip("websockets.sync.client")
    exceptions = pytest.importorskip("websockets.exceptions")

    def talk(url, message):
        with client.connect(url, max_size=None) as ws:
            if message:
                ws.send(message)
            try:
                while True:
                    ws.recv()
            except exceptions.ConnectionClosed as error:
                return error.rcvd.code, error.rcvd.reason

    ended = serve(websocket.WebSocketWSGI(lambda ws: ws.close((3000, "enough"))))
    assert tpool.execute(talk, ended, None) == (3000, "enough")
    limited = serve(websocket.WebSocketWSGI(echo, max_frame_length=1000))
    code, reason = tpool.execute(talk, limited, b"x" * 1001)
    assert code == 1009
    assert "above length limit" in reason


def test_websockets_server_is_spoken_to():
    """Our client's side talks to their server, an asyncio one in the same OS thread."""
    server = pytest.importorskip("websockets.asyncio.server")

    async def reply(ws):
        async for message in ws:
            await ws.send(message)

    async def start():
        return await server.serve(reply, "127.0.0.1", 0, max_size=None)

    running = eventlet.asyncio.spawn_for_awaitable(start()).wait()
    address = next(iter(running.sockets)).getsockname()
    sock = eventlet.connect(address)
    sock.sendall(
        b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
    )
    head = b""
    while b"\r\n\r\n" not in head:
        head += sock.recv(1)
    assert b"permessage-deflate" in head
    ws = websocket.RFC6455WebSocket(
        sock, {}, client=True, extensions={"permessage-deflate": {}}
    )
    for message in MESSAGES:
        ws.send(message)
        assert ws.wait() == message
    ws.close((1000, "done"))
    assert ws._remote_close_data == b"\x03\xe8done"

    async def stop():
        running.close()
        await running.wait_closed()

    eventlet.asyncio.spawn_for_awaitable(stop()).wait()


def test_websocket_client_is_served(serve):
    """Messages, a ping and the end with the package websocket-client."""
    client = pytest.importorskip("websocket")
    if not hasattr(client, "create_connection"):
        pytest.skip("another package of this name is installed")

    def talk(url):
        ws = client.create_connection(url, timeout=20)
        found = []
        for message in MESSAGES:
            if isinstance(message, str):
                ws.send(message)
            else:
                ws.send_binary(message)
            found.append(ws.recv())
        ws.ping(b"hello")
        opcode, frame = ws.recv_data_frame(control_frame=True)
        found.append((opcode, frame.data))
        ws.close(4002)
        return found

    found = tpool.execute(talk, serve(websocket.WebSocketWSGI(echo)))
    assert found == [*MESSAGES, (10, b"hello")]
