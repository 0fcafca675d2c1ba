"""The drafts hixie-75 and hixie-76 on connections; `test_websocket_legacy.py` has their messages."""

from __future__ import annotations

import io

import pytest
from tests.websocket.talking import DRAFT, KEY3, echo, read_all

import eventlet
from eventlet import websocket
from eventlet.green import socket


def test_hixie_76_is_spoken(serve):
    """Handshake, messages and the closing frame of the draft."""
    sock, head, rest = serve(echo).ask(DRAFT + KEY3)
    assert b"101 WebSocket Protocol Handshake" in head
    while len(rest) < 16:
        rest += sock.recv(100)
    assert rest == b"fQJ,fN/4F4!~K~MH"
    sock.sendall(b"\x00one\xff\x00tw")
    sock.sendall("o\u20ac".encode() + b"\xff")
    data = b""
    while data.count(b"\xff") < 2:
        data += sock.recv(100)
    assert data == b"\x00one\xff\x00two\xe2\x82\xac\xff"
    sock.sendall(b"\xff\x00")
    assert read_all(sock) == b"\xff\x00"


def test_hixie_76_key_may_come_late(serve):
    """The bytes behind the head may be in packets of their own, with messages behind."""
    server = serve(echo)
    sock = server.open()
    sock.sendall(DRAFT + KEY3[:3])
    sock.sendall(KEY3[3:] + b"\x00early\xff")
    data = b""
    while not data.endswith(b"\xff"):
        data += sock.recv(1000)
    assert data.endswith(b"\r\n\r\nfQJ,fN/4F4!~K~MH\x00early\xff")


def test_hixie_76_is_spoken_where_the_server_holds_the_key(pair):
    """A server that is not ours gives the bytes behind the head by `wsgi.input`."""
    _, peer = pair
    environ = {
        "HTTP_CONNECTION": "Upgrade",
        "HTTP_UPGRADE": "WebSocket",
        "HTTP_HOST": "localhost",
        "HTTP_ORIGIN": "http://localhost",
        "HTTP_SEC_WEBSOCKET_KEY1": "18x 6]8vM;54 *(5:  {   U1]8  z [  8",
        "HTTP_SEC_WEBSOCKET_KEY2": "1_ tx7X d  <  nw  334J702) 7]o}` 0",
        "wsgi.input": io.BytesIO(KEY3),
        "gunicorn.socket": pair[0].socket,
    }
    eventlet.spawn(websocket.WebSocketWSGI(lambda ws: ws.send("hi")), environ, None)
    assert read_all(peer).endswith(b"fQJ,fN/4F4!~K~MH\x00hi\xff\xff\x00")


def test_hixie_message_has_a_limit(serve):
    """Text without an end is not collected for ever."""
    server = serve(echo, max_frame_length=1000)
    sock, _, _ = server.ask(DRAFT + KEY3)
    sock.sendall(b"\x00" + b"x" * 2000)
    server.served.wait()
    assert "max_frame_length, 1000" in str(server.failures[0])


def test_hixie_data_cannot_have_the_end_byte():
    """The draft carries text; what it cannot carry is refused."""
    ours, theirs = socket.socketpair()
    ws = websocket.WebSocket(ours, {})
    ws.send(10)
    ws.send(b"ab")
    with pytest.raises(ValueError, match="send str, or ask for"):
        ws.send(b"\xff")
    ws.close()
    with pytest.raises(BrokenPipeError):
        ws.send("late")
    assert ws.wait() is None
    assert read_all(theirs) == b"\x0010\xff\x00ab\xff\xff\x00"
    theirs.close()
