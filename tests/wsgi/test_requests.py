"""What an application is told of a request, and what it can do with its connection."""

from __future__ import annotations

from wsgiref.validate import validator

import pytest
from tests.wsgi.applications import GET, echo, hello

import eventlet
from eventlet import wsgi
from eventlet.event import Event
from eventlet.green import socket


def test_100_continue_is_sent_when_the_body_is_read(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    head = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    for _ in range(2):
        assert client.ask(head)[0] == "HTTP/1.1 100 Continue"
        assert client.ask(b"ab")[2] == b"/a:ab"


@pytest.mark.parametrize("chunked", [True, False], ids=["chunked", "length"])
def test_100_continue_may_have_headers_and_come_again(serve, protocol, chunked):
    """Each asks for a further part; with chunks that is a further series of them."""

    def application(environ, start_response):
        body = environ["wsgi.input"]
        body.set_hundred_continue_response_headers([("x-part", "1")])
        one = body.read(None if chunked else 3)
        body.set_hundred_continue_response_headers([("x-part", "2")])
        body.send_hundred_continue_response()
        two = body.read()
        start_response("200 OK", [])
        return [one, b"+", two]

    client = serve(application, protocol=protocol).connect()
    size = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 6"
    head = b"PUT / HTTP/1.1\r\nHost: a\r\n%b\r\nExpect: 100-continue\r\n\r\n" % size
    parts = [b"3\r\n%b\r\n0\r\n\r\n" % p if chunked else p for p in (b"abc", b"def")]
    assert client.ask(head)[:2] == ("HTTP/1.1 100 Continue", {"x-part": "1"})
    assert client.ask(parts[0])[:2] == ("HTTP/1.1 100 Continue", {"x-part": "2"})
    assert client.ask(parts[1])[2] == b"abc+def"
    # Whoever does not wait for it gets none.
    assert client.ask(GET)[::2] == ("HTTP/1.1 200 OK", b"+")


def test_connection_ends_where_a_body_may_or_may_not_come(serve, protocol):
    client = serve(hello, protocol=protocol).connect()
    _, headers, _ = client.ask(
        b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    assert headers["connection"] == "close"
    assert client.is_closed()


def test_posthooks_run_after_the_response(serve, protocol):
    calls = Event()

    def application(environ, start_response):
        environ["eventlet.posthooks"].append((lambda env: 1 / 0, (), {}))
        environ["eventlet.posthooks"].append(
            (lambda env, *a, **k: calls.send((env is environ, a, k)), (1,), {"b": 2})
        )
        return hello(environ, start_response)

    server = serve(application, protocol=protocol)
    client = server.connect()
    assert client.ask(GET)[2] == b"hello"
    assert calls.wait() == (True, (1,), {"b": 2})
    assert client.sock.fileno() >= 0
    assert "ZeroDivisionError" in server.log.getvalue()


def test_environ_is_added_to_every_request(serve, protocol):
    extra = {"wsgi.multithread": False, "my.name": 1}

    def application(environ, start_response):
        start_response("200 OK", [])
        return [
            repr([environ.get(k) for k in ("wsgi.multithread", "my.name")]).encode()
        ]

    client = serve(application, protocol=protocol, environ=extra).connect()
    assert client.ask(GET)[2] == b"[False, 1]"
    extra["my.name"] = 2
    assert client.ask(GET)[2] == b"[False, 2]"


def test_environ_of_one_request_is_not_seen_by_the_next(serve, protocol):
    def application(environ, start_response):
        start_response("200 OK", [])
        seen = environ.get("my.name")
        environ["my.name"] = environ["PATH_INFO"]
        return [repr(seen).encode()]

    client = serve(application, protocol=protocol).connect()
    assert [client.ask(GET)[2] for _ in range(2)] == [b"None", b"None"]


def test_already_handled_leaves_the_connection_to_the_application(serve, protocol):
    def by_flag(environ, start_response):
        environ["wsgi.input"].get_socket().sendall(b"mine")
        wsgi.WSGI_LOCAL.already_handled = True
        return []

    def by_result(environ, start_response):
        environ["eventlet.input"].get_socket().sendall(b"mine")
        return wsgi.ALREADY_HANDLED

    for application in (by_flag, by_result):
        client = serve(application, protocol=protocol).connect()
        client.send(GET)
        assert client.rest() == b"mine"
    assert not wsgi.WSGI_LOCAL.already_handled


def test_already_handled_holds_for_one_connection(serve):
    """A program that serves one connection after the other in a green thread."""
    paths = []

    def application(environ, start_response):
        paths.append(environ["PATH_INFO"])
        if environ["PATH_INFO"] == "/mine":
            wsgi.WSGI_LOCAL.already_handled = True
            return []
        return hello(environ, start_response)

    def run():
        for _ in range(2):
            sock, address = listener.accept()
            server.process_request([address, sock, wsgi.STATE_IDLE])

    listener = eventlet.listen(("127.0.0.1", 0))
    server = wsgi.Server(
        listener, listener.getsockname(), application, log_output=False
    )
    eventlet.spawn(run)
    with eventlet.Timeout(5):
        for path, expected in [(b"/mine", b""), (b"/", b"hello")]:
            client = eventlet.connect(listener.getsockname())
            client.sendall(b"GET %b HTTP/1.0\r\n\r\n" % path)
            answer = b""
            while data := client.recv(1000):
                answer += data
            assert answer.endswith(expected)
            assert bool(answer) == bool(expected)
            client.close()
    listener.close()
    assert paths == ["/mine", "/"]


def test_already_handled_belongs_to_one_green_thread(serve, protocol):
    go = Event()

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/mine":
            wsgi.WSGI_LOCAL.already_handled = True
            go.wait()
            return []
        return hello(environ, start_response)

    server = serve(application, protocol=protocol)
    mine = server.connect()
    mine.send(b"GET /mine HTTP/1.1\r\nHost: a\r\n\r\n")
    assert server.ask(GET)[2] == b"hello"
    go.send()
    assert mine.rest() == b""
    assert server.ask(GET)[2] == b"hello"


def test_socket_closed_by_the_application_is_not_used_again(serve):
    """Its number may belong to another connection by then."""
    others = []

    def application(environ, start_response):
        sock = environ["wsgi.input"].get_socket()
        fd = sock.fileno()
        sock.close()
        one, two = socket.socketpair()
        others.extend([one, two])
        assert fd in (one.fileno(), two.fileno())
        return hello(environ, start_response)

    client = serve(application).connect()
    client.send(GET)
    assert client.rest() == b""
    for sock in others:
        sock.settimeout(0.05)
        with pytest.raises(TimeoutError):
            sock.recv(1)
    for sock in others:
        sock.close()


def test_cookie_lines_are_joined_as_one(serve, protocol):
    """A comma would be a part of the first cookie's value (RFC 6265)."""
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        start_response("200 OK", [])
        return []

    serve(application, protocol=protocol).ask(
        b"GET / HTTP/1.1\r\nHost: a\r\nCookie: a=1\r\nX: 1\r\nX: 2\r\ncookie: b=2\r\n\r\n"
    )
    assert (seen["HTTP_COOKIE"], seen["HTTP_X"]) == ("a=1; b=2", "1,2")


def test_old_client_is_not_told_to_continue(serve, protocol):
    """It would take that for the response (RFC 9110, 10.1.1)."""
    request = b"PUT / HTTP/1.0\r\nContent-Length: 2\r\nExpect: 100-continue\r\n%b\r\nhi"
    for more in (b"", b"Connection: keep-alive\r\n"):
        client = serve(echo, protocol=protocol).connect()
        _, headers, body = client.ask(request % more)
        assert (headers["connection"], body) == ("close", b"/:hi")
        assert client.is_closed()


@pytest.mark.filterwarnings("ignore:QUERY_STRING:wsgiref.validate.WSGIWarning")
def test_standard_validator_accepts_requests(serve, protocol):
    """`headers_raw` has no dot in its name, and yet may be a tuple."""
    seen = {}

    def application(environ, start_response):
        seen.update(environ)
        body = environ["wsgi.input"].read(5)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]

    server = serve(validator(application), protocol=protocol, debug=False)
    request = b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    status, _, body = server.ask(request)
    assert (status, body) == ("HTTP/1.1 200 OK", b"hello"), server.log.getvalue()
    assert seen["headers_raw"] == (("Host", "a"), ("Content-Length", "5"))
    assert [key for key in seen if key == "headers_raw"] == ["headers_raw"]
