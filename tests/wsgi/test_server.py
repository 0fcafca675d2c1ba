"""What a client sees of the server, over real sockets, both ways through a connection."""

from __future__ import annotations

import errno
import logging
import re

import pytest

import eventlet
from eventlet import wsgi
from eventlet.event import Event
from eventlet.green import socket, ssl
from eventlet.support.greenlets import GreenletExit

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
DATA = "tests/data"


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode("latin-1"), b":", body]


def answering(*parts, status="200 OK", headers=(), kind=list):
    """Make an application that answers always the same."""

    def application(environ, start_response):
        start_response(status, list(headers))
        return kind(parts)

    return application


# Connections


def test_connection_serves_request_after_request(serve, protocol):
    client = serve(hello, protocol=protocol).connect()
    for _ in range(3):
        status, headers, body = client.ask(GET)
        assert (status, body) == ("HTTP/1.1 200 OK", b"hello")
        assert headers.keys() == {"content-type", "content-length", "date"}


def test_pipelined_requests_are_answered_in_order(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    one = b"PUT /%d HTTP/1.1\r\nContent-Length: 2\r\n\r\nab"
    two = b"PUT /%d HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
    client.send(b"".join((one if n % 2 else two) % n for n in range(400)))
    for n in range(400):
        assert client.response()[2] == b"/%d:%b" % (n, b"ab" if n % 2 else b"c")


def test_requests_may_arrive_byte_by_byte(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    for byte in b"\r\nPUT /a HTTP/1.1\r\nContent-Length: 2\r\n\r\nab" + GET:
        client.send(bytes([byte]))
        eventlet.sleep(0)
    assert client.response()[2] == b"/a:ab"
    assert client.response()[2] == b"/:"


def test_what_the_application_leaves_of_a_body_is_skipped(serve, protocol):
    client = serve(hello, protocol=protocol).connect()
    client.send(b"PUT / HTTP/1.1\r\nContent-Length: 100000\r\n\r\n" + b"GET " * 25000)
    assert client.response()[2] == b"hello"
    client.send(b"PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"5\r\nGET /\r\n0\r\nTrailer: a\r\n\r\n")
    assert client.response()[2] == b"hello"
    assert client.ask(GET)[0] == "HTTP/1.1 200 OK"


@pytest.mark.parametrize(
    ("version", "asked", "answered"),
    [
        (1, None, None),
        (1, "close", "close"),
        (1, "Keep-Alive", "keep-alive"),
        (1, "x, CLOSE", "close"),
        (0, None, "close"),
        (0, "keep-alive", "keep-alive"),
        (0, "close", "close"),
    ],
)
def test_connection_is_kept_as_the_client_asks(
    serve, protocol, version, asked, answered
):
    client = serve(hello, protocol=protocol).connect()
    option = f"Connection: {asked}\r\n" if asked else ""
    request = f"GET / HTTP/1.{version}\r\n{option}\r\n".encode()
    _, headers, _ = client.ask(request)
    assert headers.get("connection") == answered
    if answered == "close":
        assert client.is_closed()
    else:
        assert client.ask(request)[2] == b"hello"


def test_keepalive_false_closes_after_each_response(serve, protocol):
    client = serve(hello, protocol=protocol, keepalive=False).connect()
    assert client.ask(GET)[1]["connection"] == "close"
    assert client.is_closed()


def test_keepalive_seconds_limit_the_wait_between_requests(serve, protocol):
    client = serve(hello, protocol=protocol, keepalive=0.1).connect()
    request = b"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n"
    assert client.ask(request)[1]["keep-alive"] == "timeout=0"
    assert client.is_closed()


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a"])
def test_socket_timeout_ends_a_silent_connection(serve, protocol, start):
    client = serve(hello, protocol=protocol, socket_timeout=0.1).connect()
    client.send(start)
    assert client.is_closed()


def test_header_timeout_ends_a_head_that_dribbles(serve, protocol):
    """Each byte comes in time, and yet the whole takes too long."""

    class Hasty(protocol):
        header_timeout = 0.3

    client = serve(hello, protocol=Hasty, socket_timeout=5).connect()
    client.send(b"GET / HTTP/1.1\r\nA: ")
    with pytest.raises(OSError, match=r".") as raised:
        while True:
            client.send(b"a")
            eventlet.sleep(0.02)
    assert raised.value.errno in (errno.EPIPE, errno.ECONNRESET)


@pytest.mark.parametrize("head", ["Content-Length: 99", "Transfer-Encoding: chunked"])
def test_body_timeout_ends_a_body_that_dribbles(serve, protocol, head):
    class Hasty(protocol):
        body_timeout = 0.2

    client = serve(echo, protocol=Hasty, debug=False).connect()
    client.send(f"PUT / HTTP/1.1\r\n{head}\r\n\r\n".encode())
    eventlet.spawn(lambda: [eventlet.sleep(0.02) or client.send(b"a") for _ in "abc"])
    assert client.response()[0] == "HTTP/1.1 408 Request Timeout"
    assert client.is_closed()


def test_body_is_waited_for_without_limit_by_default(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    client.send(b"PUT / HTTP/1.1\r\nContent-Length: 2\r\n\r\na")
    eventlet.sleep(0.1)
    client.send(b"b")
    assert client.response()[2] == b"/:ab"


def test_client_that_closes_its_side_still_gets_its_response(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    client.send(GET)
    client.sock.shutdown(socket.SHUT_WR)
    assert client.response()[2] == b"/:"
    assert client.is_closed()


def test_client_that_resets_leaves_nothing_behind(serve, protocol):
    """A response that nobody can get ends the connection, and is no error in the log."""
    gone, ended = Event(), Event()

    def application(environ, start_response):
        start_response("200 OK", [])
        gone.wait()
        environ["eventlet.posthooks"].append((lambda env: ended.send(), (), {}))
        return [b"a" * 10_000_000]

    server = serve(application, protocol=protocol)
    client = server.connect()
    client.send(GET)
    eventlet.sleep(0)
    client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    client.close()
    gone.send()
    ended.wait()
    assert "Traceback" not in server.log.getvalue()


def test_large_responses_arrive_whole(serve, protocol):
    data = bytes(range(256)) * 20000
    for kind in (list, iter, tuple):
        client = serve(answering(data, data, kind=kind), protocol=protocol).connect()
        client.send(GET)
        eventlet.sleep(0.05)  # the socket is full by now
        assert client.response()[2] == data + data


# Responses


def test_head_gets_the_headers_alone(serve, protocol):
    for application in (hello, answering(b"hello", kind=iter)):
        client = serve(application, protocol=protocol).connect()
        for _ in range(2):
            status, _, _ = client.ask(b"HEAD / HTTP/1.1\r\n\r\n", head=True)
            assert status == "HTTP/1.1 200 OK"
        assert client.ask(GET)[2] == b"hello"


def test_unknown_size_is_sent_in_chunks(serve, protocol):
    client = serve(answering(b"a", b"", b"bc", kind=iter), protocol=protocol).connect()
    client.send(GET)
    _, headers = client.head()
    assert headers["transfer-encoding"] == "chunked"
    assert client._exactly(13) == b"3\r\nabc\r\n0\r\n\r\n"
    old = serve(answering(b"a", b"bc", kind=iter), protocol=protocol)
    _, headers, body = old.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert (headers["connection"], body) == ("close", b"abc")


def test_pieces_are_collected_up_to_the_minimum(serve, protocol):
    server = serve(
        answering(*[b"abc"] * 5, kind=iter), protocol=protocol, minimum_chunk_size=6
    )
    client = server.connect()
    client.send(GET)
    client.head()
    assert client._exactly(35) == b"6\r\nabcabc\r\n" * 2 + b"3\r\nabc\r\n0\r\n\r\n"[:13]


def test_application_may_choose_the_minimum(serve, protocol):
    more = Event()

    def application(environ, start_response):
        environ["eventlet.minimum_write_chunk_size"] = 0
        start_response("200 OK", [("Content-Length", "2")])
        yield b"a"
        more.wait()
        yield b"b"

    client = serve(application, protocol=protocol).connect()
    client.send(GET)
    client.head()
    assert client._exactly(1) == b"a"
    more.send()
    assert client._exactly(1) == b"b"


def test_write_sends_at_once(serve, protocol):
    more = Event()

    def application(environ, start_response):
        write = start_response("200 OK", [])
        write(b"one")
        more.wait()
        write(b"two")
        return [b"three"]

    client = serve(application, protocol=protocol).connect()
    client.send(GET)
    client.head()
    assert client._exactly(8) == b"3\r\none\r\n"
    more.send()
    assert client._exactly(23) == b"3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n"[:23]


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
def test_responses_without_body_have_none(serve, protocol, status):
    client = serve(answering(b"ignored", status=status), protocol=protocol).connect()
    for _ in range(2):
        got, headers, _ = client.ask(GET)
        assert got == f"HTTP/1.1 {status}"
        assert headers.keys() == {"date"}


def test_body_longer_than_its_length_is_cut(serve, protocol):
    """What is beyond would be taken for the next response."""
    for kind in (list, iter):
        application = answering(
            b"abcHTTP/1.1 200 Evil", headers=[("Content-Length", "3")], kind=kind
        )
        client = serve(application, protocol=protocol).connect()
        assert client.ask(GET)[2] == b"abc"
        assert client.ask(GET)[2] == b"abc"


def test_body_shorter_than_its_length_ends_the_connection(serve, protocol):
    for kind in (list, iter):
        application = answering(b"abc", headers=[("Content-Length", "9")], kind=kind)
        client = serve(application, protocol=protocol).connect()
        client.send(GET)
        assert client.head()[1]["content-length"] == "9"
        assert client.rest() == b"abc"


def test_bodies_may_be_given_in_several_ways(serve, protocol):
    for result in ([], [b""], (b"ab",), [b"a", b"b"], b"ab", "ab", ["a", "b"], ()):
        client = serve(answering(kind=lambda _, r=result: r), protocol=protocol)
        status, headers, body = client.ask(GET)
        assert status == "HTTP/1.1 200 OK"
        assert headers["content-length"] == str(len(body))
        assert body == (b"ab" if "".join(map(repr, result)) and any(result) else b"")


def test_result_is_closed(serve, protocol):
    closed = []

    class Result:
        def __init__(self, environ, start_response):
            start_response("200 OK", [])
            self.path = environ["PATH_INFO"]

        def __iter__(self):
            yield b"a"
            if self.path == "/fail":
                raise RuntimeError("on purpose")

        def close(self):
            closed.append(self.path)

    server = serve(Result, protocol=protocol)
    server.ask(GET)
    server.ask(b"GET /fail HTTP/1.1\r\n\r\n")
    assert closed == ["/", "/fail"]


def test_header_names_are_capitalized_unless_told_otherwise(serve, protocol):
    application = answering(headers=[("x-ONE-two", "Three")])
    for option, expected in [(True, b"X-One-Two: Three"), (False, b"x-ONE-two: Three")]:
        server = serve(
            application, protocol=protocol, capitalize_response_headers=option
        )
        client = server.connect()
        client.send(b"GET / HTTP/1.0\r\n\r\n")
        assert expected in client.rest()


def test_old_server_speaks_the_old_version(serve, protocol):
    server = serve(
        answering(b"a", kind=iter), protocol=protocol, max_http_version="HTTP/1.0"
    )
    status, headers, body = server.ask(GET)
    assert (status, headers["connection"], body) == ("HTTP/1.0 200 OK", "close", b"a")


@pytest.mark.parametrize(
    ("status", "header"),
    [
        ("200 OK\r\nSet-Cookie: a=b", ("A", "b")),
        ("200 OK", ("A", "b\r\nSet-Cookie: a=b")),
        ("200 OK", ("A", "b\nSet-Cookie: a=b")),
        ("200 OK", ("A\r\nSet-Cookie", "a=b")),
        ("200 OK", ("A", "b\0")),
        ("200 OK", ("A: b", "c")),
        ("200 OK", ("Content-Length", "1, 2")),
        ("OK", ("A", "b")),
        ("200 OK", ("A", "\u2603")),
        ("200 OK", "Ab"),
    ],
)
def test_response_that_could_be_split_is_an_error(serve, protocol, status, header):
    """The application's mistake is in the log, and the client learns nothing of it."""
    for kind in (list, iter):
        server = serve(
            answering(b"body", status=status, headers=[header], kind=kind),
            protocol=protocol,
            debug=False,
        )
        got, headers, body = server.ask(GET)
        assert (got, body) == ("HTTP/1.1 500 Internal Server Error", b"")
        assert headers.keys() == {
            "content-type", "content-length", "date", "connection",
        }  # fmt: skip
        assert "Traceback" in server.log.getvalue()


def test_failure_is_told_to_the_client_only_in_debug_mode(serve, protocol):
    def application(environ, start_response):
        raise RuntimeError("on purpose")

    for debug in (True, False):
        server = serve(application, protocol=protocol, debug=debug)
        status, headers, body = server.ask(GET)
        assert (status, headers["connection"]) == (
            "HTTP/1.1 500 Internal Server Error", "close",
        )  # fmt: skip
        assert (b"on purpose" in body) == debug
        assert "RuntimeError: on purpose" in server.log.getvalue()


def test_failure_after_the_head_breaks_the_framing(serve, protocol):
    """A client can tell that the body is not all there."""

    def application(environ, start_response):
        environ["eventlet.minimum_write_chunk_size"] = 0
        start_response("200 OK", [])
        yield b"a"
        try:
            raise RuntimeError("on purpose")
        except RuntimeError:
            import sys

            start_response("500 Late", [], sys.exc_info())

    client = serve(application, protocol=protocol).connect()
    client.send(GET)
    client.head()
    assert client.rest() == b"1\r\na\r\n"


@pytest.mark.parametrize("raised", [eventlet.Timeout, ValueError])
def test_other_requests_are_served_after_a_failure(serve, protocol, raised):
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/fail":
            raise raised
        return hello(environ, start_response)

    server = serve(application, protocol=protocol)
    assert server.ask(b"GET /fail HTTP/1.1\r\n\r\n")[0].split()[1] == "500"
    assert server.ask(GET)[2] == b"hello"


def test_application_that_does_not_start_a_response_fails(serve, protocol):
    for result in ([b"a"], [], iter([b"a"])):
        server = serve(lambda env, start, r=result: r, protocol=protocol)
        assert server.ask(GET)[0].split()[1] == "500"
        assert "start_response" in server.log.getvalue()


# Requests


def test_100_continue_is_sent_when_the_body_is_read(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    head = b"PUT /a HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    for _ in range(2):
        assert client.ask(head)[0] == "HTTP/1.1 100 Continue"
        assert client.ask(b"ab")[2] == b"/a:ab"


def test_connection_ends_where_a_body_may_or_may_not_come(serve, protocol):
    client = serve(hello, protocol=protocol).connect()
    _, headers, _ = client.ask(
        b"PUT /a HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
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
    mine.send(b"GET /mine HTTP/1.1\r\n\r\n")
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


# Listeners


def test_unix_sockets_are_served(serve, protocol, tmp_path):
    def application(environ, start_response):
        start_response("200 OK", [])
        names = ("SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT")
        return [repr([environ[name] for name in names]).encode()]

    path = str(tmp_path / "socket")
    server = serve(application, protocol=protocol, family=socket.AF_UNIX, address=path)
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        assert client.ask(GET)[2] == b"['unix', '', 'unix', '']"
    assert f"starting up on http:{path}" in server.log.getvalue()
    # They have no addresses that would tell them apart, and yet all are ended.
    server.thread.kill()
    assert all(client.is_closed() for client in clients)


def test_tls_is_served(serve, protocol):
    def application(environ, start_response):
        start_response("200 OK", [])
        return [environ["wsgi.url_scheme"].encode(), environ["HTTPS"].encode()]

    listener = eventlet.wrap_ssl(
        eventlet.listen(("127.0.0.1", 0)),
        certfile=f"{DATA}/localhost.crt",
        keyfile=f"{DATA}/localhost.key",
        server_side=True,
    )
    server = serve(application, protocol=protocol, sock=listener)
    silent = server.connect()  # no handshake: others are served all the same
    context = ssl.create_default_context(cafile=f"{DATA}/localhost.crt")
    client = server.connect()
    client.sock = context.wrap_socket(client.sock, server_hostname="localhost")
    for _ in range(2):
        assert client.ask(GET)[2] == b"httpson"
    plain = server.connect()
    plain.send(GET)
    plain.rest()
    assert client.ask(GET)[2] == b"httpson"
    assert silent.sock.fileno() >= 0


def test_several_servers_share_a_listener(serve):
    one = serve(hello)
    two = serve(hello, sock=one.sock.dup())
    clients = [one.connect() for _ in range(4)]
    assert {client.ask(GET)[2] for client in clients} == {b"hello"}
    two.thread.kill()
    two.sock.close()
    assert one.ask(GET)[2] == b"hello"


def test_max_size_limits_what_is_served_at_once(serve):
    server = serve(hello, max_size=1)
    first, second = server.connect(), server.connect()
    assert first.ask(GET)[2] == b"hello"
    second.send(GET)
    with eventlet.Timeout(0.05, False):
        second.response()
        pytest.fail("a second connection was served")
    first.close()
    assert second.response()[2] == b"hello"


def test_custom_pool_runs_the_connections(serve):
    pool = eventlet.GreenPool(10)
    server = serve(hello, custom_pool=pool)
    client = server.connect()
    client.ask(GET)
    assert pool.running() == 1
    client.close()
    pool.waitall()


def test_custom_pool_must_be_a_pool(serve):
    server = serve(hello, custom_pool=object())
    with pytest.raises(TypeError, match="GreenPool"):
        server.thread.wait()


def test_server_event_gets_the_server(serve):
    event = Event()
    server = serve(hello, server_event=event)
    assert isinstance(event.wait(), wsgi.Server)
    assert event.wait().app is hello
    assert server.ask(GET)[2] == b"hello"


def test_failing_accept_does_not_end_the_server(serve):
    """A client that gives up, and a process out of descriptors, are no reason to stop."""
    listener = eventlet.listen(("127.0.0.1", 0))
    errors = [errno.ECONNABORTED, errno.EMFILE, errno.EPIPE]
    accept = listener.accept

    def failing():
        if errors:
            code = errors.pop(0)
            raise OSError(code, "on purpose")
        return accept()

    listener.accept = failing
    server = serve(hello, sock=listener)
    assert server.ask(GET)[2] == b"hello"
    assert "no connection can be accepted" in server.log.getvalue()


# The end


def test_shutdown_closes_idle_connections_and_finishes_busy_ones(serve, protocol):
    go, started = Event(), Event()

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            started.send()
            go.wait()
        return hello(environ, start_response)

    pool = eventlet.GreenPool()
    server = serve(application, protocol=protocol, custom_pool=pool)
    fresh, idle, busy = (server.connect() for _ in range(3))
    idle.ask(GET)
    busy.send(b"GET /slow HTTP/1.1\r\n\r\n")
    started.wait()
    server.thread.kill(KeyboardInterrupt)
    assert fresh.is_closed()
    assert idle.is_closed()
    while pool.running() > 1:
        eventlet.sleep(0)
    go.send()
    _, headers, body = busy.response()
    assert (headers["connection"], body) == ("close", b"hello")
    pool.waitall()


def test_closing_the_listener_ends_the_server(serve, protocol):
    server = serve(hello, protocol=protocol)
    client = server.connect()
    client.ask(GET)
    server.sock.close()
    server.thread.wait()
    assert client.is_closed()
    assert "wsgi exited" in server.log.getvalue()


def test_set_idle_lets_a_shutdown_close_the_connection(serve, protocol):
    waiting = Event()

    def application(environ, start_response):
        environ["eventlet.set_idle"]()
        waiting.send()
        environ["wsgi.input"].get_socket().recv(1)
        return hello(environ, start_response)

    server = serve(application, protocol=protocol)
    client = server.connect()
    client.send(GET)
    waiting.wait()
    server.thread.kill()
    client.rest()
    with pytest.raises(GreenletExit):
        server.thread.wait()


def test_stop_serve_ends_a_server_of_ones_own(serve):
    """A Server can be used with connections that a program accepts itself."""
    listener = eventlet.listen(("127.0.0.1", 0))
    server = wsgi.Server(listener, listener.getsockname(), hello, log_output=False)

    def handle(sock, address):
        server.process_request([address, sock, wsgi.STATE_IDLE])
        raise eventlet.StopServe

    thread = eventlet.spawn(eventlet.serve, listener, handle)
    with eventlet.Timeout(5):
        client = eventlet.connect(listener.getsockname())
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b"hello" in client.recv(4096)
        assert thread.wait() is None
    client.close()
    listener.close()


# Logs


def test_log_tells_of_each_request(serve, protocol):
    server = serve(hello, protocol=protocol)
    client = server.connect()
    client.ask(b"GET /a%20b?c HTTP/1.1\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n\r\n")
    client.ask(b"GET / HTTP/1.0\r\n\r\n")
    lines = server.log.getvalue().splitlines()
    assert re.search(r"^\(\d+\) wsgi starting up on http://127.0.0.1:\d+$", lines[0])
    assert re.search(r"^\(\d+\) accepted \('127.0.0.1', \d+\)$", lines[1])
    assert re.search(
        r"^1\.2\.3\.4,5\.6\.7\.8,127\.0\.0\.1 - - \[\d\d/\w+/\d{4} [\d:]+\] "
        r'"GET /a%20b\?c HTTP/1\.1" 200 \d+ 0\.\d{6}$',
        lines[2],
    )
    assert '"GET / HTTP/1.0" 200' in lines[3]


def test_log_has_no_control_characters_of_clients(serve, protocol):
    server = serve(
        hello, protocol=protocol, log_format="%(client_ip)s|%(request_line)s"
    )
    server.ask(b"GET /\xc2\x9b HTTP/1.1\r\nX-Forwarded-For: a\x9b31m\tb\r\n\r\n")
    assert server.log.getvalue().splitlines()[-1] == (
        "a\\x9b31m\\x09b,127.0.0.1|GET /\xc2\\x9b HTTP/1.1"
    )


def test_log_format_is_the_users(serve, protocol):
    server = serve(
        hello, protocol=protocol, log_format="%(status_code)s %(client_port)s"
    )
    client = server.connect()
    client.ask(GET)
    port = client.sock.getsockname()[1]
    assert server.log.getvalue().splitlines()[-1] == f"200 {port}"


def test_log_may_be_a_logger(serve, protocol, caplog):
    with caplog.at_level(logging.INFO, "server"):
        server = serve(hello, protocol=protocol, log=logging.getLogger("server"))
        server.ask(b"GET /100%25 HTTP/1.1\r\n\r\n")
    assert "GET /100%25 HTTP/1.1" in caplog.text


def test_log_output_false_writes_nothing(serve, protocol):
    server = serve(hello, protocol=protocol, log_output=False)
    server.ask(GET)
    server.ask(b"bad\r\n\r\n")
    assert server.log.getvalue() == ""
