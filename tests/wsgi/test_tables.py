"""
Tables of requests that are made to be misunderstood, and of applications that break WSGI.

Of each request it is said how many requests it is with the one behind it, or that it is
refused; of each response, that what comes behind it is read as what it is. Both hold on
both ways through a connection, which must agree to the byte.
"""

from __future__ import annotations

import re

import pytest
from tests.wsgi.conftest import ByStep

from eventlet import wsgi

NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
REFUSED = 0


class Listening:
    """An application that keeps what it has been asked, with the body."""

    def __init__(self):
        self.asked = []

    def __call__(self, environ, start_response):
        """Answer; a body that cannot be read is left to the server."""
        body = environ["wsgi.input"].read()
        self.asked.append((environ["REQUEST_METHOD"], environ["PATH_INFO"], body))
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"ok"]


def post(field, body=b"hello", line=b"POST /p HTTP/1.1"):
    return b"%b\r\nHost: a\r\n%b\r\n\r\n%b" % (line, field, body)


def get(target=b"/a", version=b"HTTP/1.1", method=b"GET", fields=b"Host: a\r\n"):
    return b"%b %b %b\r\n%b\r\n" % (method, target, version, fields)


def chunks(body, fields=b""):
    return post(fields + b"Transfer-Encoding: chunked", body)


def table():
    """Give pairs of a request and how many it is with `NEXT` behind it."""
    for value in (b"5", b"0005", b"\t5\t"):
        yield post(b"Content-Length: " + value), 2
    for value in (
        b"+5", b"-5", b"0x5", b"5_0", b"1e1", b"5.0", b"5;", b"5,", b",5", b"", b'"5"',
        b"5 5", b"5\x0b", b"\x0b5", b"5\0", b"5a", b"5, 5", b"5, 6",
        b"99999999999999999999", b"9223372036854775808", b"18446744073709551621",
    ):  # fmt: skip
        yield post(b"Content-Length: " + value), REFUSED
    for name in (b"Content-Length ", b"Content-Length\t", b" Content-Length"):
        yield post(name + b": 5"), REFUSED
    whole = b"5\r\nhello\r\n0\r\n\r\n"
    for value in (b"chunked", b"CHUNKED", b" chunked "):
        yield post(b"Transfer-Encoding:" + value, whole), 2
    for value in (
        b"xchunked", b"chunked, chunked", b"identity", b"gzip", b"gzip, chunked",
        b"chunked, identity", b'"chunked"', b"chunked;q=1", b"chunk", b"\x0bchunked",
        b"chunked\0", b"chun ked", b"", b"chunked\x85", b"\xa0chunked",
    ):  # fmt: skip
        for more in (b"", b"Content-Length: 15\r\n"):
            yield post(more + b"Transfer-Encoding: " + value, whole), REFUSED
    for lines in (
        b"X: y\nTransfer-Encoding: chunked",
        b"X: y\rTransfer-Encoding: chunked",
    ):
        yield post(lines, whole), REFUSED
    old = b"POST /p HTTP/1.0"
    keep = b"Connection: keep-alive\r\n"
    yield post(keep + b"Transfer-Encoding: chunked", whole, old), 1
    for body in (
        b"05\r\nhello\r\n0\r\n\r\n", b"5\r\nhello\r\n00\r\n\r\n", whole,
        b"5;a=b\r\nhello\r\n0\r\n\r\n", b'5;a="b;c"\r\nhello\r\n0;x\r\n\r\n',
        b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n", b"5\r\nhello\r\n0\r\nContent-Length: 9\r\n\r\n",
    ):  # fmt: skip
        yield chunks(body), 2
    for size in (
        b"0x5\r\n", b"+5\r\n", b"-5\r\n", b" 5\r\n", b"5 \r\n", b"5\t\r\n", b"0_5\r\n", b"\r\n",
        b"5;a\n", b"5;a\rb\r\n", b"5;a\0b\r\n", b"5;a\x08b\r\n", b"5\n", b"5\r",
        b"10000000000000005\r\n",
    ):  # fmt: skip
        yield chunks(size + b"hello\r\n0\r\n\r\n"), REFUSED
    for end in (
        b"hello0\r\n\r\n", b"hello\n0\r\n\r\n", b"helloXX0\r\n\r\n", b"hello\r\n0\n\n",
        b"hello\r\n0\r\n\n", b"hello\r\n0\r\nX: 1\r\n b\r\n\r\n", b"hello\r\n0\r\nno colon\r\n\r\n",
        b"hello\r\n0\r\nX: a\nY: b\r\n\r\n", b"hello\r\n0\r\nX: a\rY: b\r\n\r\n",
        b"hello\r\n0\r\nX: a\0b\r\n\r\n", b"hello\r\n0\r\nX : a\r\n\r\n",
    ):  # fmt: skip
        yield chunks(b"5\r\n" + end), REFUSED
    for target in (
        b"/a", b"/a?b?c", b"//evil/x", b"/../x", b"http://a/x", b"http://b?x", b"/%00%zz",
    ):  # fmt: skip
        yield get(target), 2
    for target in (
        b" /a", b"/a ", b"/a b", b"/a\0", b"/a\x01", b"/a\x7f", b"a", b"?a", b"*", b"a:80",
        b"/a#b", b"ftp://a/", b"http:///a", b"http://u@a/", b"/a\r",
    ):  # fmt: skip
        yield get(target), REFUSED
    yield get(b"*", method=b"OPTIONS"), 2
    yield get(b"a:80", method=b"CONNECT"), 1
    yield get(b"/a", method=b"CONNECT"), REFUSED
    for method in (b"GE(T", b"GET:", b"", b"GET\t"):
        yield get(method=method), REFUSED
    for version in (b"HTTP/1.2", b"HTTP/1.9"):
        yield get(version=version), 2
    for version in (
        b"HTTP/2.0",
        b"HTTP/1.10",
        b"HTTP/01.1",
        b"HTTP/1.1x",
        b"http/1.1",
        b"",
    ):
        yield get(version=version), REFUSED
    for host in (b"", b"a", b"a:80", b"[::1]:80"):
        yield get(fields=b"Host: %b\r\n" % host), 2
    for host in (
        b"a b", b"a/b", b"a,b", b"a@b", b"a:80:80", b"a:b", b"[::1", b"a\\b", b"a?b", b"a#b",
        b"<script>", b"a\tb", b"\xe9", b"a\r\nHost: a",
    ):  # fmt: skip
        yield get(fields=b"Host: %b\r\n" % host), REFUSED
    yield get(fields=b""), REFUSED
    for field in (b"X:", b"X: \t ", b"X: \xff", b"X_Y: 1", b"Expect: x"):
        yield get(fields=b"Host: a\r\n%b\r\n" % field), 2
    for field in (
        b"foo",
        b": x",
        b"X\x01: a",
        b"X(): a",
        b"X\xe9: a",
        b"X: a\0b",
        b"X: a\r\n b",
    ):
        yield get(fields=b"Host: a\r\n%b\r\n" % field), REFUSED
    for value in (b"close", b"foo, Close", b"keep-alive\r\nConnection: close"):
        yield get(fields=b"Host: a\r\nConnection: %b\r\n" % value), 1


REQUESTS = list(table())


def everything(server, data):
    """Send and end the sending; return what comes, without the dates."""
    client = server.connect()
    client.send(data)
    client.sock.shutdown(1)
    return re.sub(rb"Date: [^\r]*\r\n", b"", client.rest())


def test_requests_have_one_reading(serve):
    """What is refused is refused once, and nothing behind it is taken for a request."""
    applications = [Listening(), Listening()]
    servers = [
        serve(application, protocol=kind, debug=False)
        for application, kind in zip(
            applications, (wsgi.HttpProtocol, ByStep), strict=True
        )
    ]
    assert len(REQUESTS) > 160
    for request, expected in REQUESTS:
        answers = [everything(server, request + NEXT) for server in servers]
        asked = [application.asked[:] for application in applications]
        for application in applications:
            application.asked.clear()
        assert answers[0] == answers[1], request
        assert asked[0] == asked[1], request
        assert len(asked[0]) == expected, (request, asked[0], answers[0])
        statuses = re.findall(rb"HTTP/1\.[01] (\d{3})", answers[0])
        if expected is REFUSED:
            assert len(statuses) == 1, (request, answers[0])
            assert statuses[0][:1] in b"45", request
        else:
            assert statuses == [b"200"] * expected, request
    for server in servers:
        assert "Traceback" not in server.log.getvalue()


def fails():
    yield b"x" * 5000
    raise RuntimeError("on purpose")


# Status, headers and result of applications, for good or ill.
RESPONSES = {
    "plain": ("200 OK", [], [b"hello"]),
    "length too large": ("200 OK", [("Content-Length", "10")], [b"hello"]),
    "length too small": ("200 OK", [("Content-Length", "3")], [b"hello"]),
    "no number": ("200 OK", [("Content-Length", "abc")], [b"hello"]),
    "negative length": ("200 OK", [("Content-Length", "-1")], [b"hello"]),
    "length with sign": ("200 OK", [("Content-Length", "+5")], [b"hello"]),
    "two lengths": (
        "200 OK", [("Content-Length", "5"), ("Content-Length", "6")], [b"hello"],
    ),
    "both framings": (
        "200 OK",
        [("Content-Length", "5"), ("Transfer-Encoding", "chunked")],
        [b"5\r\nhello\r\n0\r\n\r\n"],
    ),
    "own chunks": ("200 OK", [("Transfer-Encoding", "chunked")], [b"1\r\na\r\n0\r\n\r\n"]),
    "204 with a body": ("204 No", [], [b"hello"]),
    "204 with a length": ("204 No", [("Content-Length", "5")], [b"hello"]),
    "304 with a body": ("304 No", [("Content-Length", "5")], [b"hello"]),
    "interim": ("103 Early Hints", [("Link", "x")], [b""]),
    "header of two lines": ("200 OK", [("X", "a\r\nY: b")], [b"hello"]),
    "header with LF": ("200 OK", [("X", "a\nY: b")], [b"hello"]),
    "header with CR": ("200 OK", [("X", "a\rY: b")], [b"hello"]),
    "header with NUL": ("200 OK", [("X", "a\0b")], [b"hello"]),
    "name of two lines": ("200 OK", [("X: a\r\nY", "b")], [b"hello"]),
    "status of two lines": ("200 OK\r\nX: y", [], [b"hello"]),
    "status of four digits": ("9999 OK", [], [b"hello"]),
    "nothing": ("200 OK", [], None),
    "text": ("200 OK", [], ["hello"]),
    "number": ("200 OK", [], [1]),
    "bytes alone": ("200 OK", [], b"hello"),
    "stream": ("200 OK", [], lambda: iter([b"", b"a", b"", b"b"])),
    "stream that fails": ("200 OK", [], fails),
    "stream with a length": ("200 OK", [("Content-Length", "3")], lambda: iter([b"a"] * 9)),
}  # fmt: skip


def lying(environ, start_response):
    """Answer `/next` well, and others as the table says."""
    path = environ["PATH_INFO"][1:].replace("-", " ")
    status, headers, result = RESPONSES.get(path, ("200 OK", [], [b"next"]))
    start_response(status, headers)
    return result() if callable(result) else result


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
def test_responses_cannot_be_taken_for_others(serve, method, version):
    """A client that reads a response to its end finds the next one, or the end."""
    servers = [
        serve(lying, protocol=kind, debug=False) for kind in (wsgi.HttpProtocol, ByStep)
    ]
    for name in RESPONSES:
        target = name.replace(" ", "-")
        request = f"{method} /{target} HTTP/{version}\r\nHost: a\r\n\r\n".encode()
        answers = [everything(server, request + NEXT) for server in servers]
        assert answers[0] == answers[1], name
        client = servers[0].connect()
        client.send(request + NEXT)
        client.sock.shutdown(1)
        try:
            client.response(head=method == "HEAD")
            rest = client.rest()
        except (EOFError, ValueError):
            # Cut off, so that it cannot pass for a whole one.
            continue
        assert rest == b"" or rest.startswith(b"HTTP/1.1 200 OK\r\n"), (name, rest)
        assert not rest or rest.endswith(b"\r\n\r\nnext"), (name, rest)
