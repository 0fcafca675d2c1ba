"""What programs override of `HttpProtocol` and `Server`, and that both ways agree."""

from __future__ import annotations

import random

import pytest

import eventlet
from eventlet import wsgi
from eventlet.green.http.client import HTTPMessage

GET = b"GET /path?query HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nX_Two: 2\r\n\r\n"


class Showing:
    """An application that keeps its `environ` for the test to look at."""

    def __call__(self, environ, start_response):
        """Answer, showing the path."""
        self.environ = environ
        path = environ["PATH_INFO"]
        start_response("200 OK", [("X-Path", path)] if path.isprintable() else [])
        return [b"ok"]


@pytest.fixture
def ask(serve):
    """Send a request to a server with the protocol; return status, headers, environ."""

    def send(protocol, request=GET, **options):
        application = Showing()
        server = serve(application, protocol=protocol, **options)
        status, headers, _ = server.ask(request)
        return status, headers, getattr(application, "environ", None)

    return send


def test_plain_protocol_is_served_by_native_code(ask):
    """Or else the other tests would compare one way with itself."""
    _, _, environ = ask(wsgi.HttpProtocol)
    assert type(environ["wsgi.input"].rfile).__name__ == "HttpReader"


def test_get_environ_may_add_names(ask):
    class Protocol(wsgi.HttpProtocol):
        def get_environ(self):
            environ = super().get_environ()
            environ["my.peer"] = self.client_address[0]
            return environ

    assert ask(Protocol)[2]["my.peer"] == "127.0.0.1"


def test_parse_request_may_change_the_request_line(ask):
    class Protocol(wsgi.HttpProtocol):
        def parse_request(self):
            self.raw_requestline = self.raw_requestline.replace(b"/path", b"/other")
            return super().parse_request()

    assert ask(Protocol)[1]["x-path"] == "/other"


def test_parse_request_may_refuse(ask):
    class Protocol(wsgi.HttpProtocol):
        def parse_request(self):
            if not super().parse_request():
                return False
            self.send_error(403, "Not you")
            return False

    status, _, environ = ask(Protocol, b"GET / HTTP/1.0\r\n\r\n")
    assert (status, environ) == ("HTTP/1.1 403 Not you", None)


def test_formalize_key_naming_decides_on_keys(ask):
    class Protocol(wsgi.HttpProtocol):
        def formalize_key_naming(self, k):
            return k.replace("-", "_").upper()

    environ = ask(Protocol)[2]
    assert (environ["HTTP_X_ONE"], environ["HTTP_X_TWO"]) == ("1", "2")


def test_message_class_decides_on_the_default_type(ask):
    class Message(HTTPMessage):
        def get_default_type(self):
            return ""

    class Protocol(wsgi.HttpProtocol):
        MessageClass = Message

    assert ask(wsgi.HttpProtocol)[2]["CONTENT_TYPE"] == "text/plain"
    assert ask(Protocol)[2]["CONTENT_TYPE"] == ""


def test_handle_may_read_before_the_first_request(ask):
    """As those do that are told the client's address by a proxy (the PROXY protocol)."""

    class Protocol(wsgi.HttpProtocol):
        def handle(self):
            line = self.rfile.readline(200)
            assert line.startswith(b"PROXY ")
            self.client_address = (line.split()[2].decode(), line.split()[4].decode())
            super().handle()

    _, _, environ = ask(Protocol, b"PROXY TCP4 1.2.3.4 5.6.7.8 99 80\r\n" + GET)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("1.2.3.4", "99")


def test_handle_one_request_may_be_wrapped(serve):
    counts = []

    class Protocol(wsgi.HttpProtocol):
        def handle_one_request(self):
            super().handle_one_request()
            counts.append(self.close_connection)

    client = serve(Showing(), protocol=Protocol).connect()
    client.ask(GET)
    client.ask(b"GET / HTTP/1.0\r\n\r\n")
    assert client.is_closed()
    assert counts == [False, True]


def test_handle_one_response_may_be_wrapped(ask):
    class Protocol(wsgi.HttpProtocol):
        def handle_one_response(self):
            self.environ["my.name"] = 1
            super().handle_one_response()

    assert ask(Protocol)[2]["my.name"] == 1


def test_handle_expect_100_may_refuse(serve):
    class Protocol(wsgi.HttpProtocol):
        def handle_expect_100(self):
            self.wfile.write(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
            return False

    application = Showing()
    client = serve(application, protocol=Protocol).connect()
    status, _, _ = client.ask(
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n"
    )
    assert status == "HTTP/1.1 417 No"
    assert client.is_closed()
    assert not hasattr(application, "environ")


def test_get_client_address_decides_on_the_log(serve):
    class Protocol(wsgi.HttpProtocol):
        def get_client_address(self):
            return self.headers["X-One"], 9

    server = serve(
        Showing(), protocol=Protocol, log_format="%(client_ip)s %(client_port)s"
    )
    server.ask(GET)
    assert server.log.getvalue().splitlines()[-1] == "1 9"


def test_class_attributes_are_options(ask):
    class Protocol(wsgi.HttpProtocol):
        capitalize_response_headers = False
        minimum_chunk_size = 1
        reject_bad_requests = False

    assert "x-path" in ask(Protocol)[1]
    assert Protocol.minimum_chunk_size == 1
    assert wsgi.HttpProtocol.minimum_chunk_size == 4096


def test_protocol_may_be_any_callable(ask):
    """A program may make the object itself, as functools.partial would."""
    made = []

    def protocol(conn_state, server):
        made.append(conn_state[0][0])
        return wsgi.HttpProtocol(conn_state, server)

    assert ask(protocol)[0] == "HTTP/1.1 200 OK"
    assert made == ["127.0.0.1"]


def test_replaced_methods_of_a_connection_are_called(serve):
    """As tests and tracers do: nothing bypasses them."""
    listener = eventlet.listen(("127.0.0.1", 0))
    accept, calls = listener.accept, []

    def wrapped():
        sock, address = accept()
        send = sock.send
        sock.send = lambda data, *args: calls.append(len(data)) or send(data[:7], *args)
        return sock, address

    listener.accept = wrapped
    server = serve(Showing(), sock=listener)
    assert server.ask(GET)[2] == b"ok"
    assert len(calls) > 5


def test_server_may_be_subclassed(serve):
    class Server(wsgi.Server):
        def get_environ(self):
            environ = super().get_environ()
            environ["my.count"] = next(numbers)
            return environ

    numbers = iter(range(9))
    application = Showing()
    listener = eventlet.listen(("127.0.0.1", 0))
    server = Server(listener, listener.getsockname(), application, log_output=False)
    thread = eventlet.spawn(
        lambda: server.process_request([*reversed(listener.accept()), wsgi.STATE_IDLE])
    )
    with eventlet.Timeout(5):
        client = eventlet.connect(listener.getsockname())
        counts = []
        for _ in range(3):
            client.sendall(GET)
            client.recv(4096)
            counts.append(application.environ["my.count"])
        client.close()
        thread.wait()
    listener.close()
    assert counts == sorted(counts)
    assert len(set(counts)) == 3


NAMES = [
    "Accept", "content-type", "X-One", "x-one", "X_One", "COOKIE", "Cookie",
    "X-Forwarded-For", "a", "Path-Info", "!#$%&'*+.^`|~", "Content-Length", "Date",
]  # fmt: skip
VALUES = [
    "",
    "a",
    " b ",
    "\tc\t",
    "d, e",
    "\xe9",
    "\xff",
    "a b",
    "*/*; q=0.8",
    "x" * 300,
]
TARGETS = [
    "/", "/a", "/a%20b", "/%e4%bd%a0", "/%zz%4", "//a//b", "/a?b", "/a?", "/a?b?c",
    "/a;b", "*", "http://b/c", "http://b?c", "HTTPS://b:1", "/%2e%2e/%00", "/a+b",
    "/?%41", "a", "/a#b",
]  # fmt: skip


def test_both_ways_make_the_same_environ(serve):
    """Whatever is legal in a head, subclassing changes nothing of what it means."""

    class ByStep(wsgi.HttpProtocol):
        def get_environ(self):
            return super().get_environ()

    rng = random.Random(7)
    applications = [Showing(), Showing()]
    servers = [
        serve(application, protocol=kind, log_output=False)
        for application, kind in zip(
            applications, [wsgi.HttpProtocol, ByStep], strict=True
        )
    ]
    clients = [server.connect() for server in servers]
    refused = 0
    for round_ in range(300):
        fields = [
            (name, "0" if name == "Content-Length" else rng.choice(VALUES))
            for name in rng.sample(NAMES, rng.randrange(len(NAMES)))
        ]
        for name in ("X-Twice", "Cookie"):
            fields += [(name, rng.choice(VALUES)) for _ in range(rng.randrange(3))]
        if rng.random() < 0.9:
            fields.append(("Host", rng.choice(["a", "a:80", "", "[::1]", "a b"])))
        request = "{} {} HTTP/1.{}\r\nConnection: keep-alive\r\n{}\r\n".format(
            rng.choice(["GET", "HEAD", "DELETE", "OPTIONS", "M-SEARCH"]),
            rng.choice(TARGETS),
            round_ % 2,
            "".join(f"{name}:{value}\r\n" for name, value in fields),
        ).encode("latin-1")
        head = request.startswith(b"HEAD")
        answers = [client.ask(request, head=head) for client in clients]
        for _, headers, _ in answers:
            headers.pop("date", None)
        assert answers[0] == answers[1], request
        if answers[0][0].startswith("HTTP/1.0 400"):
            clients = [server.connect() for server in servers]
            refused += 1
            continue
        seen = []
        for application in applications:
            environ = dict(application.environ)
            for name in ("wsgi.input", "eventlet.input", "eventlet.set_idle"):
                environ.pop(name)
            for name in ("SERVER_PORT", "REMOTE_PORT"):
                assert environ.pop(name).isdigit()
            seen.append(environ)
        assert seen[0] == seen[1], request
    assert 30 < refused < 200
