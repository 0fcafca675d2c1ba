"""A server for each test, and a client that says exactly what it is told to."""

from __future__ import annotations

import io

import pytest

import eventlet
from eventlet import wsgi

SECONDS = 20


class ByStep(wsgi.HttpProtocol):
    """Takes the way on which every step is a method."""

    def get_environ(self):
        """Do what the plain class does."""
        return super().get_environ()


class Client:
    """A connection that reads whole responses."""

    def __init__(self, address, family):
        self.sock = eventlet.connect(address, family=family)
        self._held = b""

    def send(self, data):
        """Send all of the data."""
        self.sock.sendall(data)

    def _more(self):
        data = self.sock.recv(65536)
        self._held += data
        return data

    def rest(self):
        """Read to the end of the connection."""
        while self._more():
            pass
        data, self._held = self._held, b""
        return data

    def _until(self, mark):
        while mark not in self._held:
            if not self._more():
                raise EOFError(self._held)
        data, _, self._held = self._held.partition(mark)
        return data

    def _exactly(self, size):
        while len(self._held) < size:
            if not self._more():
                raise EOFError(self._held)
        data, self._held = self._held[:size], self._held[size:]
        return data

    def head(self):
        """Read a head: the status line, and the headers by lower-case name."""
        status, *lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} is there twice"
            headers[name.lower()] = value
        return status, headers

    def response(self, *, head=False):
        """Read a response with its body, as its framing tells."""
        status, headers = self.head()
        code = status.split()[1]
        if head or code in ("204", "304") or code.startswith("1"):
            body = b""
        elif "content-length" in headers:
            body = self._exactly(int(headers["content-length"]))
        elif headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size)
                assert self._exactly(2) == b"\r\n"
            assert self._exactly(2) == b"\r\n"
        else:
            body = self.rest()
        return status, headers, body

    def ask(self, data, **options):
        """Send a request and read the response."""
        self.send(data)
        return self.response(**options)

    def is_closed(self):
        """Wait for the server to close the connection; there must be nothing before."""
        assert self._held == b""
        return self.sock.recv(1) == b""

    def close(self):
        """Close the client's side."""
        self.sock.close()


class Serving:
    """A running server."""

    def __init__(self, application, family=eventlet.green.socket.AF_INET, **options):
        self.family = family
        self.log = io.StringIO()
        address = options.pop("address", ("127.0.0.1", 0))
        self.sock = options.pop("sock", None) or eventlet.listen(address, family)
        self.address = self.sock.getsockname()
        options.setdefault("log", self.log)
        self.thread = eventlet.spawn(wsgi.server, self.sock, application, **options)
        self.clients = []

    def connect(self):
        """Open a connection."""
        client = Client(self.address, self.family)
        self.clients.append(client)
        return client

    def ask(self, data, **options):
        """Send one request on a connection of its own."""
        return self.connect().ask(data, **options)

    def stop(self):
        """End the server and all clients."""
        for client in self.clients:
            client.close()
        self.thread.kill()
        self.sock.close()


@pytest.fixture
def serve():
    """Start servers that end with the test."""
    running = []

    def start(application, **options):
        running.append(Serving(application, **options))
        return running[-1]

    limit = eventlet.Timeout(SECONDS)
    try:
        yield start
        for server in running:
            server.stop()
    finally:
        limit.cancel()


@pytest.fixture(params=[wsgi.HttpProtocol, ByStep], ids=["native", "by step"])
def protocol(request):
    """Each of the two ways through a connection."""
    return request.param
