"""A server for handlers, connections to it, and what a client sends."""

from __future__ import annotations

import io

import eventlet
from eventlet import websocket, wsgi
from eventlet._websocket.session import Session
from eventlet.event import Event
from eventlet.green import ssl

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


def masked(message, **options):
    """Return what a client sends."""
    return Session(client=True).message_frame(message, masked=True, **options)


def read_all(sock):
    """Return everything until the end."""
    data = b""
    while more := sock.recv(4096):
        data += more
    return data
