"""Control frames, and the end of a connection."""

from __future__ import annotations

import errno
import zlib

import pytest
from tests.websocket.talking import DEFLATE, HEAD, echo, masked, read_all

import eventlet
from eventlet import websocket
from eventlet.event import Event
from eventlet.green import socket


def test_ping_is_answered_while_waiting(pair):
    """The answer needs nothing of the application."""
    ws, peer = pair
    peer.sendall(masked(b"are you there", control_code=9) + masked("x"))
    assert ws.wait() == "x"
    assert peer.recv(100) == b"\x8a\x0dare you there"


def test_ping_can_be_sent(pair):
    """A control frame is sent by its number."""
    ws, peer = pair
    ws.send(b"?", control_code=9)
    assert peer.recv(100) == b"\x89\x01?"


def test_message_can_be_sent_in_parts(pair):
    """The parts are frames of one message."""
    ws, peer = pair
    ws.send("a", final=False)
    ws.send("b", continuation=True, final=False)
    ws.send("c", continuation=True)
    assert peer.recv(100) == b"\x01\x01a\x00\x01b\x80\x01c"


def test_handler_that_returns_closes_the_connection(serve):
    """The client is told the end, and it comes at once."""
    client = serve(lambda ws: ws.send("bye")).connect()
    assert client.wait() == "bye"
    assert client.wait() is None
    assert client._remote_close_data == b""


def test_close_tells_why(serve):
    """Code and reason reach the peer."""
    client = serve(lambda ws: ws.close((4000, "enough"))).connect()
    assert client.wait() is None
    assert client._remote_close_data == b"\x0f\xa0enough"


def test_close_of_the_peer_ends_the_handler(serve):
    """`wait` returns None, again and again, and the close frame is answered."""

    def handle(ws):
        seen.extend([ws.wait(), ws.wait(), ws.wait()])

    seen = []
    server = serve(handle)
    client = server.connect()
    client.send("last")
    client.close((1001, "going"))
    assert client._remote_close_data == b"\x03\xe9"
    server.served.wait()
    assert seen == ["last", None, None]
    assert server.failures == []


def test_send_after_the_end_is_a_broken_pipe(pair):
    """It is the error that a socket gives, so that applications know it."""
    ws, _ = pair
    ws.close_timeout = 0.01
    ws.close()
    with pytest.raises(BrokenPipeError) as caught:
        ws.send("late")
    assert caught.value.errno == errno.EPIPE
    ws.close()
    assert ws.wait() is None


def test_close_wakes_a_green_thread_that_waits(pair):
    """Whoever waits for messages gets None, also if the peer never answers."""
    ws, peer = pair
    ws.close_timeout = 0.01
    waiting = eventlet.spawn(ws.wait)
    eventlet.sleep(0)
    ws.close()
    assert waiting.wait() is None
    assert peer.recv(10) == b"\x88\x00"


def test_close_waits_for_the_peer_through_a_green_thread_that_waits(pair):
    """One green thread reads; the close frame that it hears ends the wait of the other."""
    ws, peer = pair
    ws.close_timeout = 10
    waiting = eventlet.spawn(ws.wait)
    eventlet.sleep(0)
    closing = eventlet.spawn(ws.close)
    assert peer.recv(10) == b"\x88\x00"
    peer.sendall(masked("too late") + masked(b"", control_code=8))
    closing.wait()
    assert waiting.wait() is None
    assert ws._remote_close_data == b""


def test_close_frame_is_not_lost_to_unread_data(serve):
    """A client that is still sending gets the reason, not a reset."""
    server = serve(echo, max_frame_length=1000)
    client = server.connect()
    client.send(b"x" * 500_000)
    assert client.wait() is None
    assert client._remote_close_data == (
        b"\x03\xf1Incoming frame of 500000 bytes is above length limit of 1000 bytes."
    )


def test_peer_that_breaks_the_protocol_is_told_so(pair):
    """`wait` returns None, and the peer gets code and reason."""
    ws, peer = pair
    peer.sendall(b"\x81\x02hi")
    peer.shutdown(socket.SHUT_WR)
    assert ws.wait() is None
    assert read_all(peer) == b"\x88\x21\x03\xeaA client's frame is not masked."


def test_decompression_bomb_ends_the_connection(serve):
    """The client learns that its message was too long."""
    server = serve(echo, max_frame_length=100_000)
    client = server.connect(extensions=DEFLATE)
    bomb = zlib.compressobj(wbits=-15)
    data = bomb.compress(bytes(50 << 20)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    frame = masked(data[:-4])
    client.socket.sendall(bytes([frame[0] | 0x40]) + frame[1:])
    assert client.wait() is None
    assert client._remote_close_data[:2] == b"\x03\xf1"
    assert server.failures == []


def test_client_that_disappears_is_no_failure(serve):
    """The handler's `wait` returns None, and its `send` says nothing to the server."""

    def handle(ws):
        assert ws.wait() is None
        gone.send()
        while True:
            ws.send("x" * 100_000)

    gone = Event()
    server = serve(handle)
    server.connect().socket.close()
    gone.wait()
    server.served.wait()
    assert server.failures == []


def test_failure_of_the_handler_is_told_to_both_sides(serve):
    """The client gets status 1011 and no more, the server the exception."""

    def handle(ws):
        raise LookupError

    server = serve(handle)
    client = server.connect()
    assert client.wait() is None
    assert client._remote_close_data == b"\x03\xf3Internal Server Error"
    server.served.wait()
    assert [type(error) for error in server.failures] == [LookupError]


def test_nothing_follows_the_close_frame(serve):
    """The server does not write an HTTP response into a connection that is no HTTP."""

    def handle(ws):
        raise OSError(errno.ENOTSOCK)

    server = serve(handle)
    sock, _, rest = server.ask(HEAD.format(path="/", more="").encode())
    assert rest + read_all(sock) == b"\x88\x17\x03\xf3Internal Server Error"


def test_connection_behind_a_generator_is_served(serve):
    """An application may pass on another one's result; nothing is sent after it."""

    def app(environ, start_response):
        yield from websocket.WebSocketWSGI(echo)(environ, start_response)

    server = serve(echo)
    server.app = app
    for _ in range(2):
        client = server.connect()
        client.send("hi")
        assert client.wait() == "hi"
        client.socket.sendall(masked(b"", control_code=8))
        assert read_all(client.socket) == b"\x88\x02\x03\xe8"
    server.app = lambda environ, start_response: start_response("200 OK", []) and []
    _, head, _ = server.ask(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert "Traceback" not in server.log.getvalue()


def test_killed_handler_says_that_it_goes_away(pair):
    """The client is told, and the kill does not wait for it."""

    def handle(ws):
        started.send(eventlet.getcurrent())
        ws.wait()

    started = Event()
    environ = {
        "HTTP_CONNECTION": "upgrade",
        "HTTP_UPGRADE": "websocket",
        "HTTP_HOST": "example.org",
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "gunicorn.socket": pair[0].socket,
    }
    app = websocket.WebSocketWSGI(handle)
    eventlet.spawn(app, environ, None)
    started.wait().kill()
    assert read_all(pair[1]).endswith(b"\r\n\r\n\x88\x02\x03\xe9")
