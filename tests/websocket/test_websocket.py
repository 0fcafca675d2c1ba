"""Promises of `eventlet.websocket` on a server, and of connections on their sockets."""

from __future__ import annotations

import errno
import io
import os
import zlib
from pathlib import Path

import pytest

import eventlet
from eventlet import websocket, wsgi
from eventlet._websocket.session import Session
from eventlet.event import Event
from eventlet.green import socket, ssl

HEAD = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
)
DRAFT = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: WebSocket\r\n"
    b"Connection: Upgrade\r\nOrigin: http://localhost\r\n"
    b"Sec-WebSocket-Key1: 18x 6]8vM;54 *(5:  {   U1]8  z [  8\r\n"
    b"Sec-WebSocket-Key2: 1_ tx7X d  <  nw  334J702) 7]o}` 0\r\n\r\n"
)
KEY3 = b"Tm[K T2u"
DEFLATE = {"permessage-deflate": {}}


@pytest.fixture(autouse=True)
def _limit():
    with eventlet.Timeout(20):
        yield


def echo(ws):
    """Send back what comes."""
    while (message := ws.wait()) is not None:
        ws.send(message)


class Server:
    """A server, and connections to it."""

    def __init__(self, app, *, tls=None):
        self.failures = []
        self.served = Event()
        self.app = app
        self.tls = tls
        listener = eventlet.listen(("127.0.0.1", 0))
        self.address = listener.getsockname()
        if tls:
            listener = eventlet.wrap_ssl(
                listener, certfile=tls[0], keyfile=tls[1], server_side=True
            )
        self.socks = []
        self.log = io.StringIO()
        self.green = eventlet.spawn(wsgi.server, listener, self._serve, log=self.log)

    def _serve(self, environ, start_response):
        try:
            return self.app(environ, start_response)
        except BaseException as error:
            self.failures.append(error)
            raise
        finally:
            if not self.served.ready():
                self.served.send()

    def open(self):
        """Return a connection."""
        sock = eventlet.connect(self.address)
        if self.tls:
            sock = ssl.wrap_socket(sock)
        self.socks.append(sock)
        return sock

    def ask(self, data):
        """Send a request; return the connection, the response and what follows it."""
        sock = self.open()
        sock.sendall(data)
        answer = b""
        while b"\r\n\r\n" not in answer:
            more = sock.recv(4096)
            assert more, answer
            answer += more
        head, _, rest = answer.partition(b"\r\n\r\n")
        return sock, head, rest

    def connect(self, path="/", extensions=None):
        """Return a client's connection."""
        more = "Sec-WebSocket-Extensions: permessage-deflate\r\n" if extensions else ""
        sock, head, rest = self.ask(HEAD.format(path=path, more=more).encode())
        assert head.startswith(b"HTTP/1.1 101 "), head
        ws = websocket.RFC6455WebSocket(sock, {}, client=True, extensions=extensions)
        if rest:
            ws._feed(rest)
        return ws


@pytest.fixture
def serve():
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


@pytest.fixture
def pair():
    """Return a server's connection and the socket of its peer."""
    ours, theirs = socket.socketpair()
    yield websocket.RFC6455WebSocket(ours, {}), theirs
    ours.close()
    theirs.close()


def masked(message, **options):
    """Return what a client sends."""
    return Session(client=True).message_frame(message, masked=True, **options)


def read_all(sock):
    """Return everything until the end."""
    data = b""
    while more := sock.recv(4096):
        data += more
    return data


# Connections


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


# Control frames and the end


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
        "HTTP_SEC_WEBSOCKET_VERSION": "13",
        "HTTP_SEC_WEBSOCKET_KEY": "dGhlIHNhbXBsZSBub25jZQ==",
        "gunicorn.socket": pair[0].socket,
    }
    app = websocket.WebSocketWSGI(handle)
    eventlet.spawn(app, environ, None)
    started.wait().kill()
    assert read_all(pair[1]).endswith(b"\r\n\r\n\x88\x02\x03\xe9")


# Green threads


def test_messages_of_many_senders_stay_whole(serve):
    """Green threads that send at the same time do not mix their frames."""

    def handle(ws):
        def talk(char):
            for _ in range(5):
                ws.send(char * 200_000)

        pool = eventlet.GreenPool()
        for char in "abcde":
            pool.spawn_n(talk, char)
        pool.waitall()

    for extensions in (None, DEFLATE):
        client = serve(handle).connect(extensions=extensions)
        found = []
        while (message := client.wait()) is not None:
            assert message == message[0] * 200_000
            found.append(message[0])
        assert sorted(found) == sorted("abcde" * 5)


def test_send_that_was_interrupted_ends_the_connection(pair):
    """Behind a part of a frame nothing can follow that the peer would understand."""
    ws, _ = pair
    ws.close_timeout = 0.01
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.05):
        ws.send(b"x" * (16 << 20))
    with pytest.raises(BrokenPipeError):
        ws.send("more")
    ws.close()


def test_close_does_not_wait_for_a_stuck_sender(pair):
    """A peer that reads nothing holds up neither `close` nor, then, the sender."""
    ws, _ = pair
    ws.close_timeout = 0.01
    sender = eventlet.spawn(ws.send, b"x" * (16 << 20))
    eventlet.sleep(0)
    ws.close()
    with pytest.raises(OSError, match=r"(?i)broken pipe|bad file"):
        sender.wait()


def test_interrupted_wait_can_be_repeated(pair):
    """A message whose first half has arrived is not lost to a Timeout."""
    ws, peer = pair
    frame = masked("in two halves")
    peer.sendall(frame[:9])
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.02):
        ws.wait()
    peer.sendall(frame[9:])
    assert ws.wait() == "in two halves"


# Drafts


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
