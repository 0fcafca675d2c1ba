"""
Requests that are made to be misunderstood: each is refused, on both ways.

The table in docs/reference/http-security.md names these tests.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

import eventlet
from eventlet import wsgi

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


class Recorder:
    """An application that remembers what it was asked for."""

    def __init__(self, read=True):
        self.paths = []
        self.environ = None
        self.read = read

    def __call__(self, environ, start_response):
        """Answer, having read the body or not."""
        self.paths.append(environ["PATH_INFO"])
        self.environ = environ
        if self.read:
            environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [b"ok"]


def post(*fields, body=b"", line=b"POST / HTTP/1.1"):
    hosts = () if any(field.startswith(b"Host") for field in fields) else (b"Host: a",)
    return b"\r\n".join([line, *hosts, *fields, b"", body])


REFUSED = {
    "both framings": post(
        b"Content-Length: 4", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "both framings, other order": post(
        b"Transfer-Encoding: chunked", b"Content-Length: 5", body=b"0\r\n\r\n"
    ),
    "two lengths": post(b"Content-Length: 0", b"Content-Length: 35"),
    "the same length twice": post(b"Content-Length: 0", b"Content-Length: 0"),
    "list of lengths": post(b"Content-Length: 0, 0"),
    "length with sign": post(b"Content-Length: +0"),
    "negative length": post(b"Content-Length: -1"),
    "hexadecimal length": post(b"Content-Length: 0x0"),
    "length with underscore": post(b"Content-Length: 0_0"),
    "length with space": post(b"Content-Length: 0 0"),
    "empty length": post(b"Content-Length:"),
    "huge length": post(b"Content-Length: 18446744073709551616"),
    "length in other digits": post("Content-Length: \u0663".encode()),
    "two codings": post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"),
    "list of codings": post(b"Transfer-Encoding: chunked, chunked"),
    "identity": post(b"Transfer-Encoding: identity", b"Content-Length: 0"),
    "unknown coding": post(b"Transfer-Encoding: xchunked"),
    "coding with control character": post(b"Transfer-Encoding: \x0bchunked"),
    "coding in quotes": post(b'Transfer-Encoding: "chunked"'),
    "space before colon": post(b"Content-Length : 35"),
    "tab before colon": post(b"Transfer-Encoding\t: chunked"),
    "folded header": post(b"Transfer-Encoding:", b" chunked"),
    "folded request line": post(b" Content-Length: 35"),
    "header without colon": post(b"Content-Length 35"),
    "header without name": post(b": 35"),
    "bare LF in head": post(b"A: b\nContent-Length: 35"),
    "bare LF after request line": b"POST / HTTP/1.1\nContent-Length: 35\r\n\r\n",
    "bare LF at the end": b"POST / HTTP/1.1\r\nHost: a\r\nA: b\r\n\n",
    "bare CR": post(b"A: b\rContent-Length: 35"),
    "NUL in header": post(b"A: b\0c"),
    "NUL in name": post(b"A\0: b"),
    "control character in header": post(b"A: \x08b"),
    "NUL in target": post(line=b"POST /\0 HTTP/1.1"),
    "control character in target": post(line=b"POST /\x1b[0m HTTP/1.1"),
    "space in target": post(line=b"POST /a b HTTP/1.1"),
    "two spaces": post(line=b"POST  / HTTP/1.1"),
    "no version": b"POST /\r\n\r\n",
    "lower-case version": post(line=b"POST / http/1.1"),
    "version of several digits": post(line=b"POST / HTTP/1.10"),
    "other protocol": post(line=b"POST / FTTP/1.1"),
    "two hosts": post(b"Host: a", b"Host: b"),
    "no host": b"POST / HTTP/1.1\r\n\r\n",
    "host with blank": post(b"Host: a b"),
    "host with comma": post(b"Host: a,b"),
    "host with path": post(b"Host: a/b"),
    "host with user": post(b"Host: u@a"),
    "host with two ports": post(b"Host: a:1:2"),
    "host with open bracket": post(b"Host: [::1"),
    "no host beside an absolute target": b"GET http://a/ HTTP/1.1\r\n\r\n",
    "absolute target without host": post(line=b"POST http:///a HTTP/1.1"),
    "absolute target with user": post(line=b"POST http://u@a/ HTTP/1.1"),
    "target of another scheme": post(line=b"POST ftp://a/ HTTP/1.1"),
    "target without slash": post(line=b"POST a HTTP/1.1"),
    "target with query alone": post(line=b"POST ?a HTTP/1.1"),
    "target with fragment": post(line=b"POST /a#b HTTP/1.1"),
    "asterisk without OPTIONS": post(line=b"GET * HTTP/1.1"),
    "authority without CONNECT": post(line=b"GET a:80 HTTP/1.1"),
    "CONNECT with a path": post(line=b"CONNECT /a HTTP/1.1"),
    "unknown version": post(line=b"POST / HTTP/3.0"),
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    "too many headers": post(*[b"A: b"] * 300),
}


@pytest.mark.parametrize("name", REFUSED)
def test_ambiguous_request_is_refused(serve, protocol, name):
    """One error response, then nothing more: what follows may be anybody's."""
    application = Recorder()
    server = serve(application, protocol=protocol)
    client = server.connect()
    client.send(REFUSED[name] + SMUGGLED)
    status, headers, body = client.response()
    expected = {
        "HTTP/2 preface": "505", "unknown version": "505", "too many headers": "431", "list of codings": "501",
        "identity": "501", "unknown coding": "501", "coding in quotes": "501",
    }.get(name, "400")  # fmt: skip
    assert (status.split()[1], headers["connection"], body) == (expected, "close", b"")
    assert client.is_closed()
    assert application.paths == []
    assert "Traceback" not in server.log.getvalue()


BROKEN_CHUNKS = {
    "bare LF after the size": b"0\n\r\n",
    "bare LF after the data": b"1\r\na\n0\r\n\r\n",
    "longer than the size": b"1\r\nab\r\n0\r\n\r\n",
    "size with sign": b"+0\r\n\r\n",
    "size with prefix": b"0x0\r\n\r\n",
    "size with underscore": b"0_0\r\n\r\n",
    "size with leading space": b" 0\r\n\r\n",
    "size with trailing blank": b"0 \r\n\r\n",
    "NUL in extension": b"0;a\0b\r\n\r\n",
    "trailer without colon": b"0\r\nGET /x HTTP/1.1\r\n\r\n",
    "folded trailer": b"0\r\nA: b\r\n c\r\n\r\n",
    "CR in trailer": b"0\r\nA: b\rC: d\r\n\r\n",
    "NUL in trailer": b"0\r\nA: b\0\r\n\r\n",
    "blank before a trailer's colon": b"0\r\nA : b\r\n\r\n",
    "size that wraps around": b"10000000000000000\r\n\r\n",
    "no size": b";a=b\r\n\r\n",
    "CR in extension": b"0;a\rb\r\n\r\n",
    "LF ends extension": b"0;a\n\r\n",
    "endless extension": b"0;" + b"a" * 10000 + b"\r\n\r\n",
    "LF in trailers": b"0\r\nA: b\n\r\n",
    "huge trailers": b"0\r\n" + b"A: b\r\n" * 20000 + b"\r\n",
}


@pytest.mark.parametrize("name", BROKEN_CHUNKS)
@pytest.mark.parametrize("read", [True, False], ids=["read", "unread"])
def test_malformed_chunks_end_the_connection(serve, protocol, name, read):
    """Whoever reads the body, the application or the server that skips it."""
    application = Recorder(read)
    server = serve(application, protocol=protocol)
    client = server.connect()
    client.send(
        post(b"Transfer-Encoding: chunked", body=BROKEN_CHUNKS[name]) + SMUGGLED
    )
    status, _, _ = client.response()
    assert status.split()[1] == ("400" if read else "200")
    assert client.is_closed()
    assert application.paths == ["/"]
    assert "Traceback" not in server.log.getvalue()


def test_trailers_are_dropped(serve, protocol):
    """Nothing that comes behind the body becomes a header."""
    application = Recorder()
    client = serve(application, protocol=protocol).connect()
    body = b"1\r\na\r\n0\r\nX-Admin: yes\r\nContent-Length: 5\r\n\r\n"
    client.ask(post(b"Transfer-Encoding: chunked", b"Trailer: X-Admin", body=body))
    assert "yes" not in map(str, application.environ.values())
    assert client.ask(SMUGGLED)[0] == "HTTP/1.1 200 OK"


def test_chunk_extensions_are_dropped(serve, protocol):
    application = Recorder()
    client = serve(application, protocol=protocol).connect()
    client.ask(post(b"Transfer-Encoding: chunked", body=b'1;a="b"\r\na\r\n0;c\r\n\r\n'))
    assert client.ask(SMUGGLED)[0] == "HTTP/1.1 200 OK"
    assert application.paths == ["/", "/smuggled"]


def test_chunked_request_of_http_1_0_ends_the_connection(serve, protocol):
    """A proxy of that version does not know chunks, and forwards something else."""
    client = serve(Recorder(), protocol=protocol).connect()
    _, headers, _ = client.ask(
        post(
            b"Transfer-Encoding: chunked",
            b"Connection: keep-alive",
            line=b"POST / HTTP/1.0",
            body=b"0\r\n\r\n",
        )
        + SMUGGLED
    )
    assert headers["connection"] == "close"
    assert client.is_closed()


def test_legacy_clients_may_send_both_framings(serve, protocol):
    """The escape hatch: chunks count, and the connection is not used again."""

    class Legacy(protocol):
        reject_bad_requests = False

    application = Recorder()
    client = serve(application, protocol=Legacy).connect()
    _, headers, _ = client.ask(REFUSED["both framings"] + SMUGGLED)
    assert headers["connection"] == "close"
    assert client.is_closed()
    assert application.paths == ["/"]
    assert application.environ["wsgi.input"].chunked_input


@pytest.mark.parametrize("length", ["9223372036854775808", "9" * 30])
def test_legacy_clients_may_announce_any_length(serve, protocol, length):
    """The application has its own answer to what is too much for it."""

    class Legacy(protocol):
        reject_bad_requests = False

    application = Recorder(read=False)
    server = serve(application, protocol=Legacy)
    line = f"Content-Length: {length}".encode()
    chunked = post(line, b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED)
    for request in (chunked, post(line, body=b"")):
        client = server.connect()
        assert client.ask(request)[0] == "HTTP/1.1 200 OK"
        assert application.environ["CONTENT_LENGTH"] == length
        assert client.is_closed()
    assert application.paths == ["/", "/"]


def test_header_names_with_underscores_are_dropped(serve, protocol):
    """`X_Forwarded_For` cannot pass for `X-Forwarded-For`."""
    application = Recorder()
    serve(application, protocol=protocol).ask(
        post(b"X-User: real", b"X_User: fake", b"X-User_: fake", b"CONTENT_LENGTH: 9")
    )
    keys = {k: v for k, v in application.environ.items() if k.startswith("HTTP_")}
    assert keys == {"HTTP_HOST": "a", "HTTP_X_USER": "real"}
    assert "CONTENT_LENGTH" not in application.environ
    assert ("X_User", "fake") in application.environ["headers_raw"]


def test_target_is_passed_on_as_it_came(serve, protocol):
    """A proxy in front has decided on `//admin`, and would be surprised by `/admin`."""
    application = Recorder()
    serve(application, protocol=protocol).ask(
        b"GET //admin/%2f/a HTTP/1.1\r\nHost: a\r\n\r\n"
    )
    assert application.environ["PATH_INFO"] == "//admin///a"
    assert application.environ["RAW_PATH_INFO"] == "//admin/%2f/a"


def test_absolute_target_names_the_host(serve, protocol):
    """It counts in place of Host, wherever that is looked up (RFC 9112, 3.2.2)."""
    application = Recorder()
    server = serve(application, protocol=protocol)
    server.ask(b"GET HTTP://b:8/c?d HTTP/1.1\r\nhost: a\r\n\r\n")
    environ = application.environ
    names = ("HTTP_HOST", "PATH_INFO", "QUERY_STRING")
    assert [environ[name] for name in names] == ["b:8", "/c", "d"]
    assert environ["headers_raw"] == (("host", "b:8"),)
    server.ask(b"GET http://b HTTP/1.0\r\n\r\n")
    assert application.environ["HTTP_HOST"] == "b"
    server.ask(b"OPTIONS http://b HTTP/1.1\r\nHost: b\r\n\r\n")
    assert application.environ["PATH_INFO"] == "*"


def test_minor_versions_to_come_are_understood(serve, protocol):
    application = Recorder()
    client = serve(application, protocol=protocol).connect()
    for version in (b"1.2", b"1.9", b"1.1"):
        status, _, _ = client.ask(b"GET / HTTP/%b\r\nHost: a\r\n\r\n" % version)
        assert status == "HTTP/1.1 200 OK"
        assert application.environ["SERVER_PROTOCOL"] == "HTTP/1.1"


def test_legacy_clients_may_leave_the_host_out(serve, protocol):
    class Legacy(protocol):
        reject_bad_requests = False

    server = serve(Recorder(), protocol=Legacy)
    assert server.ask(b"GET / HTTP/1.1\r\n\r\n")[0] == "HTTP/1.1 200 OK"


def test_tunnel_ends_http(serve, protocol):
    """What follows a successful CONNECT is not ours to read."""
    application = Recorder()
    client = serve(application, protocol=protocol).connect()
    client.send(b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n" + SMUGGLED)
    _, headers = client.head()
    assert "content-length" not in headers
    assert client.rest() == b"ok"
    assert application.paths == ["a:80"]


def test_long_request_line_is_refused(serve, protocol):
    server = serve(Recorder(), protocol=protocol, url_length_limit=100)
    line = b"GET /%b HTTP/1.1\r\n"
    fits = line % (b"a" * (100 - len(line) + 2))
    rest = b"Host: a\r\n\r\n"
    assert server.ask(fits + rest)[0] == "HTTP/1.1 200 OK"
    for request in (fits.replace(b"a", b"aa", 1) + rest, b"a" * 200, b"\r\n" * 200):
        assert server.ask(request)[0].split()[1] in ("414", "400")


def test_long_headers_are_refused(serve, protocol, monkeypatch):
    """The limits are those that a program sets in eventlet.wsgi."""
    monkeypatch.setattr(wsgi, "MAX_HEADER_LINE", 50)
    monkeypatch.setattr(wsgi, "MAX_TOTAL_HEADER_SIZE", 200)
    server = serve(Recorder(), protocol=protocol)
    fits = b"GET / HTTP/1.1\r\nHost: a\r\nA: %b\r\n" % (b"b" * 45)
    assert server.ask(fits + b"\r\n")[0] == "HTTP/1.1 200 OK"
    assert server.ask(fits.replace(b"b", b"bb", 1) + b"\r\n")[0] == (
        "HTTP/1.0 431 Header Line Too Long"
    )
    # Before the line has ended.
    assert server.ask(b"GET / HTTP/1.1\r\nHost: a\r\nA: " + b"b" * 60)[0].startswith(
        "HTTP/1.0 431"
    )
    assert server.ask(b"GET / HTTP/1.1\r\n" + b"A: bcd\r\n" * 30 + b"\r\n")[0] == (
        "HTTP/1.0 431 Headers Too Large"
    )


def size_of_process(name):
    """Return a size that the system tells of this process, in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(name))


def test_announced_size_costs_no_memory(serve):
    """A length is a claim: memory is taken for what has come."""
    peak = []

    def application(environ, start_response):
        before = size_of_process("VmPeak")
        try:
            environ["wsgi.input"].read()
        finally:
            peak.append(size_of_process("VmPeak") - before)
        start_response("200 OK", [])
        return [b"ok"]

    client = serve(application).connect()
    client.send(post(b"Content-Length: 99999999999", body=b"a" * 1000))
    client.sock.shutdown(1)
    assert client.response()[0] == "HTTP/1.1 400 Bad Request"
    assert peak[0] < 1_000_000  # KiB; the claim is a hundred times that


def test_slow_heads_delay_nobody(serve):
    """Clients that never finish their heads cost a fast one no time."""
    server = serve(Recorder(), max_size=2000, log_output=False)
    slow = [server.connect() for _ in range(200)]
    for client in slow:
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: ")

    def dribble():
        while True:
            for client in slow:
                client.send(b"a")
            eventlet.sleep(0.01)

    thread = eventlet.spawn(dribble)
    fast = server.connect()
    delays = []
    for _ in range(20):
        began = time.monotonic()
        fast.ask(SMUGGLED)
        delays.append(time.monotonic() - began)
        eventlet.sleep(0.005)
    thread.kill()
    assert sorted(delays)[10] < 0.05
