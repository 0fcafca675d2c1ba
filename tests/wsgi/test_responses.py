"""What an application's result becomes on the wire, both ways through a connection."""

from __future__ import annotations

import array
import mmap
import sys

import pytest
from tests.wsgi.applications import GET, answering, hello

import eventlet
from eventlet.event import Event


def test_head_gets_the_headers_alone(serve, protocol):
    for application in (hello, answering(b"hello", kind=iter)):
        client = serve(application, protocol=protocol).connect()
        for _ in range(2):
            status, _, _ = client.ask(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", head=True)
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


def test_empty_write_does_not_end_the_body(serve, protocol):
    """A chunk of no bytes would."""

    def application(environ, start_response):
        write = start_response("200 OK", [])
        for data in (b"", b"a", b"", b"b"):
            write(data)
        return iter([b"", b"c"])

    client = serve(application, protocol=protocol).connect()
    for _ in range(2):
        assert client.ask(GET)[2] == b"abc"


def test_promise_to_keep_a_connection_that_ends_is_not_passed_on(serve, protocol):
    """An application cannot know that the server will close it."""
    application = answering(b"a", headers=[("Connection", "keep-alive")])
    client = serve(application, protocol=protocol).connect()
    assert client.ask(GET)[1]["connection"] == "keep-alive"
    assert client.ask(b"GET / HTTP/1.0\r\n\r\n")[1]["connection"] == "close"
    assert client.is_closed()


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
    server.ask(b"GET /fail HTTP/1.1\r\nHost: a\r\n\r\n")
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
    assert server.ask(b"GET /fail HTTP/1.1\r\nHost: a\r\n\r\n")[0].split()[1] == "500"
    assert server.ask(GET)[2] == b"hello"


def test_application_that_does_not_start_a_response_fails(serve, protocol):
    for result in ([b"a"], [], iter([b"a"])):
        server = serve(lambda env, start, r=result: r, protocol=protocol)
        assert server.ask(GET)[0].split()[1] == "500"
        assert "start_response" in server.log.getvalue()


def test_interim_status_is_no_response(serve, protocol):
    """The next response would be taken for this one's."""
    for status in ("100 Continue", "103 Early Hints"):
        server = serve(answering(b"", status=status), protocol=protocol, debug=False)
        client = server.connect()
        assert client.ask(GET)[0] == "HTTP/1.1 500 Internal Server Error"
        assert client.is_closed()
        assert "1xx" in server.log.getvalue()


@pytest.mark.parametrize("kind", [list, iter])
def test_nothing_is_read_behind_an_upgrade(serve, protocol, kind):
    """What comes is another protocol's, as are the bytes that the application sends."""
    asked = []

    def application(environ, start_response):
        asked.append(environ["PATH_INFO"])
        start_response("101 Go On", [("Upgrade", "x"), ("Connection", "Upgrade")])
        return kind([b"raw", b" bytes"])

    client = serve(application, protocol=protocol).connect()
    client.send(GET + GET)
    status, headers = client.head()
    assert (status, headers["connection"]) == ("HTTP/1.1 101 Go On", "Upgrade")
    assert client.rest() == b"raw bytes"
    assert asked == ["/"]


def test_response_is_framed_once(serve, protocol):
    headers = [("Content-Length", "3"), ("Transfer-Encoding", "chunked")]
    client = serve(
        answering(b"1\r\na\r\n0\r\n\r\n", headers=headers), protocol=protocol
    ).connect()
    _, given, body = client.ask(GET)
    assert ("content-length" in given, given["connection"], body) == (
        False,
        "close",
        b"a",
    )
    assert client.is_closed()


def test_empty_response_may_say_so(serve, protocol):
    """As upstream's 204 does; any other length would be waited for by some."""
    for length, kept in (("0", True), ("5", False)):
        application = answering(status="204 No", headers=[("Content-Length", length)])
        client = serve(application, protocol=protocol).connect()
        assert ("content-length" in client.ask(GET)[1]) is kept
        assert client.ask(GET)[0] == "HTTP/1.1 204 No"


def test_response_starts_once(serve, protocol):
    """A second call is a mistake, but for an error that is told of."""

    def application(environ, start_response):
        start_response("200 OK", [])
        if environ["PATH_INFO"] == "/error":
            try:
                raise RuntimeError("on purpose")
            except RuntimeError:
                start_response("503 Sorry", [], sys.exc_info())
        else:
            start_response("201 Again", [])
        return [b"a"]

    server = serve(application, protocol=protocol, debug=False)
    assert server.ask(GET)[0] == "HTTP/1.1 500 Internal Server Error"
    assert "call it once" in server.log.getvalue()
    error = b"GET /error HTTP/1.1\r\nHost: a\r\n\r\n"
    assert server.ask(error)[0] == "HTTP/1.1 503 Sorry"


@pytest.mark.parametrize(
    "kind", ["text/event-stream", "Text/Event-Stream; charset=utf-8"]
)
def test_events_are_sent_at_once(serve, protocol, kind):
    seen = eventlet.Event()

    def application(environ, start_response):
        start_response("200 OK", [("Content-Type", kind)])
        yield b"data: 1\n\n"
        seen.wait()
        yield b"data: 2\n\n"

    client = serve(application, protocol=protocol).connect()
    client.send(b"GET / HTTP/1.0\r\n\r\n")
    client.head()
    while b"data: 1\n\n" not in client._held:
        client._more()
    seen.send()
    assert client.rest() == b"data: 1\n\ndata: 2\n\n"


class Bytes(bytes):
    """A subclass, as some libraries have."""


# What an application may return as a piece of the body, and what is sent; None: an error.
PIECES = {
    "bytes": (b"hello", b"hello"),
    "empty": (b"", b""),
    "subclass": (Bytes(b"hello"), b"hello"),
    "bytearray": (bytearray(b"hello"), b"hello"),
    "empty bytearray": (bytearray(), b""),
    "memoryview": (memoryview(b"hello"), b"hello"),
    "part of a memoryview": (memoryview(b"-hello-")[1:-1], b"hello"),
    "every second byte": (memoryview(b"h-e-l-l-o")[::2], b"hello"),
    "several dimensions": (memoryview(b"hell").cast("B", (2, 2)), b"hell"),
    "array": (array.array("B", b"hello"), b"hello"),
    "array of shorts": (array.array("H", b"hell"), b"hell"),
    "memory map": (mmap.mmap(-1, 4), b"\0\0\0\0"),
    "text": ("hello", b"hello"),
    "text beyond ASCII": ("h\xe9", None),
    "number": (5, None),
    "nothing": (None, None),
    "list": ([1], None),
}


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("kind", [list, tuple, iter])
def test_every_piece_is_sent_alike_both_ways(serve, protocol, name, kind):
    piece, sent = PIECES[name]
    for parts in ([piece], [piece, piece]):
        server = serve(answering(*parts, kind=kind), protocol=protocol, debug=False)
        status, headers, body = server.ask(GET)
        if sent is None:
            assert status == "HTTP/1.1 500 Internal Server Error"
        else:
            assert (status, body) == ("HTTP/1.1 200 OK", sent * len(parts))
            if kind is not iter:
                assert headers["content-length"] == str(len(body))


def test_written_pieces_are_sent_alike_both_ways(serve, protocol):
    def application(environ, start_response):
        write = start_response("200 OK", [])
        for piece, sent in PIECES.values():
            if sent is not None:
                write(piece)
        return []

    body = serve(application, protocol=protocol).ask(GET)[2]
    assert body == b"".join(sent or b"" for _, sent in PIECES.values())
