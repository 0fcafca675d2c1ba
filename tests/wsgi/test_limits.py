"""What a client may cost: each limit of `Limits`, on both ways through a connection."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from tests.wsgi.applications import GET, echo, hello

import eventlet
from eventlet import wsgi
from eventlet.green import socket

DATA = "tests/data"
PUT = b"PUT / HTTP/1.1\r\nHost: a\r\n"


def read(environ, start_response):
    """Answer with the size of the body, read in pieces."""
    size = 0
    while data := environ["wsgi.input"].read(1000):
        size += len(data)
    start_response("200 OK", [])
    return [b"%d" % size]


def test_limits_are_numbers():
    assert wsgi.Limits(body=None, head=0).head == 0
    for name, value in (("head", -1), ("head", "1"), ("spare", None), ("discard", -1)):
        with pytest.raises(ValueError, match=rf"Limits\.{name}"):
            wsgi.Limits(**{name: value})
    with pytest.raises(ValueError, match="at least 1"):
        wsgi.Limits(connections=0)


def test_first_byte_must_come_in_time(serve, protocol):
    """The first one only: later requests are a matter of `keepalive`."""
    server = serve(hello, protocol=protocol, limits=wsgi.Limits(first_byte=0.2))
    silent, used = server.connect(), server.connect()
    assert used.ask(GET)[2] == b"hello"
    assert silent.is_closed()
    assert used.ask(GET)[2] == b"hello"


def test_head_must_end_in_time(serve, protocol):
    server = serve(hello, protocol=protocol, limits=wsgi.Limits(head=0.1))
    client = server.connect()
    client.send(b"GET / HTTP/1.1\r\nHost: ")
    assert client.is_closed()


def test_class_attribute_overrides_the_limit(serve, protocol):
    class Hasty(protocol):
        header_timeout = 0.1

    client = serve(hello, protocol=Hasty).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: ")
    assert client.is_closed()
    assert wsgi.HttpProtocol.header_timeout == 60


def test_header_sizes_may_be_limited(serve, protocol):
    limits = wsgi.Limits(header_line=30, headers=60)
    server = serve(hello, protocol=protocol, limits=limits)
    assert server.ask(GET)[2] == b"hello"
    long = GET.replace(b"Host: a", b"Host: " + b"a" * 40)
    assert server.ask(long)[0] == "HTTP/1.0 431 Header Line Too Long"
    many = GET.replace(b"\r\n\r\n", b"\r\nA: b" * 10 + b"\r\n\r\n")
    assert server.ask(many)[0] == "HTTP/1.0 431 Headers Too Large"


def test_body_must_come_at_a_least_rate(serve, protocol):
    limits = wsgi.Limits(body_rate=1000, body_grace=0.1)
    server = serve(read, protocol=protocol, limits=limits)
    client = server.connect()
    client.send(PUT + b"Content-Length: 9000\r\n\r\n")
    for _ in range(3):
        # Fast enough: the time that is left grows with what has come.
        client.send(b"a" * 1000)
        eventlet.sleep(0.2)
    assert client.response()[0] == "HTTP/1.1 408 Request Timeout"
    assert client.is_closed()
    assert "Traceback" not in server.log.getvalue()


@pytest.mark.parametrize("chunked", [False, True])
def test_rate_counts_the_time_of_reading_alone(serve, protocol, chunked):
    """An application may take its time."""

    def slow(environ, start_response):
        size = 0
        while data := environ["wsgi.input"].read(1000):
            size += len(data)
            eventlet.sleep(0.02)
        start_response("200 OK", [])
        return [b"%d" % size]

    limits = wsgi.Limits(body_rate=100_000, body_grace=0.05)
    client = serve(slow, protocol=protocol, limits=limits).connect()
    if chunked:
        head, data = b"Transfer-Encoding: chunked", b"3e8\r\n%b\r\n" % (b"a" * 1000)
    else:
        head, data = b"Content-Length: 10000", b"a" * 1000
    client.send(PUT + head + b"\r\n\r\n" + data * 10 + b"0\r\n\r\n" * chunked)
    assert client.response()[2] == b"10000"


@pytest.mark.parametrize("whole", [True, False])
def test_one_read_of_a_slow_body_is_held_to_the_rate_only(serve, protocol, whole):
    """It lasts longer than the grace, which is no limit on a body that keeps coming."""
    size = None if whole else 10_000

    def application(environ, start_response):
        body = environ["wsgi.input"].read(size)
        start_response("200 OK", [])
        return [b"%d" % len(body)]

    limits = wsgi.Limits(body_rate=1000, body_grace=0.2)
    client = serve(application, protocol=protocol, limits=limits).connect()
    client.send(PUT + b"Content-Length: 10000\r\n\r\n")
    for _ in range(10):
        client.send(b"a" * 1000)
        eventlet.sleep(0.05)
    assert client.response()[2] == b"10000"


def test_body_may_be_limited(serve, protocol):
    """Before the application is asked, or as soon as chunks are too many."""
    limits = wsgi.Limits(body_size=1000)
    server = serve(echo, protocol=protocol, limits=limits)
    for head in (
        b"Content-Length: 1001\r\n",
        b"Content-Length: 1001\r\nExpect: 100-continue\r\n",
    ):
        client = server.connect()
        client.send(PUT + head + b"\r\n")
        assert client.response()[0].split()[1] == "413"
        assert client.is_closed()
    client = server.connect()
    client.send(PUT + b"Transfer-Encoding: chunked\r\n\r\n")
    client.send(b"1f4\r\n" + b"a" * 500 + b"\r\n1f5\r\n")
    assert client.response()[0] == "HTTP/1.1 413 Content Too Large"
    assert client.is_closed()
    assert "Traceback" not in server.log.getvalue()
    body = b"a" * 1000
    assert server.ask(PUT + b"Content-Length: 1000\r\n\r\n" + body)[2] == b"/:" + body


@pytest.mark.parametrize("chunked", [False, True])
def test_no_more_is_discarded_than_the_limit(serve, protocol, chunked):
    server = serve(hello, protocol=protocol, limits=wsgi.Limits(discard=100_000))
    head = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d"
    for size, closed in ((90_000, False), (200_000, True)):
        client = server.connect()
        data = (
            b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"a" * size) if chunked else b"a" * size
        )
        start = head if chunked else head % size
        client.send(PUT + start + b"\r\n\r\n" + data)
        assert client.response()[2] == b"hello"
        if closed:
            assert client.is_closed()
        else:
            assert client.ask(GET)[2] == b"hello"


def test_truncated_body_is_an_error(serve, protocol):
    """Or half an upload would pass for a whole one."""
    raised = []

    def application(environ, start_response):
        try:
            return echo(environ, start_response)
        except OSError as error:
            raised.append(error)
            raise

    server = serve(application, protocol=protocol)
    client = server.connect()
    client.send(PUT + b"Content-Length: 10\r\n\r\nabc")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.response()[0] == "HTTP/1.1 400 Bad Request"
    assert isinstance(raised[0], wsgi.IncompleteBody)
    assert isinstance(raised[0], wsgi.ChunkReadError)
    assert "after 3 of 10 bytes" in str(raised[0])
    assert "Traceback" not in server.log.getvalue()


def test_truncated_bodies_may_be_let_through(serve, protocol):
    limits = wsgi.Limits(whole_bodies=False)
    client = serve(echo, protocol=protocol, limits=limits).connect()
    client.send(PUT + b"Content-Length: 10\r\n\r\nabc")
    client.sock.shutdown(socket.SHUT_WR)
    assert client.response()[2] == b"/:abc"


def test_broken_body_stays_broken(serve, protocol):
    """An application that reads on gets no bytes from the middle of nowhere."""
    errors = []

    def application(environ, start_response):
        for _ in range(3):
            try:
                environ["wsgi.input"].read()
            except wsgi.ChunkReadError as error:
                errors.append(str(error))
        start_response("200 OK", [])
        return [b"ok"]

    client = serve(application, protocol=protocol).connect()
    client.send(
        PUT + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n1\r\na\r\n0\r\n\r\n" + GET
    )
    assert client.response()[2] == b"ok"
    assert client.is_closed()
    assert errors == [r"invalid literal for int() with base 16: b'zz\r\n'"] * 3


def test_handshake_has_a_limit(serve, protocol):
    listener = eventlet.wrap_ssl(
        eventlet.listen(("127.0.0.1", 0)),
        certfile=f"{DATA}/localhost.crt",
        keyfile=f"{DATA}/localhost.key",
        server_side=True,
    )
    limits = wsgi.Limits(handshake=0.1)
    server = serve(hello, protocol=protocol, sock=listener, limits=limits)
    silent, slow = server.connect(), server.connect()
    slow.send(b"\x16\x03\x01")
    assert silent.is_closed()
    assert slow.is_closed()


def test_connections_are_limited(serve):
    server = serve(hello, limits=wsgi.Limits(connections=1, spare=60))
    first, second = server.connect(), server.connect()
    assert first.ask(GET)[2] == b"hello"
    second.send(GET)
    with eventlet.Timeout(0.05, False):
        second.response()
        pytest.fail("a second connection was served")
    first.close()
    assert second.response()[2] == b"hello"


@pytest.mark.parametrize("start", [b"", b"GET / HT", GET])
def test_silent_connections_give_way(serve, protocol, start):
    """Clients that take all places, and ask for nothing or for too little, are no outage."""
    limits = wsgi.Limits(connections=50, spare=0.1)
    server = serve(hello, protocol=protocol, limits=limits, log_output=False)
    crowd = [server.connect() for _ in range(120)]
    for client in crowd:
        client.send(start)
    with eventlet.Timeout(15):
        assert server.ask(GET)[2] == b"hello"


def test_busy_connections_do_not_give_way(serve, protocol):
    """Whoever is being served keeps the place, and who waits gets one afterwards."""
    go = eventlet.Event()

    def application(environ, start_response):
        if environ["PATH_INFO"] == "/slow":
            go.wait()
        return hello(environ, start_response)

    limits = wsgi.Limits(connections=2, spare=0.05)
    server = serve(application, protocol=protocol, limits=limits)
    busy = [server.connect() for _ in range(2)]
    for client in busy:
        client.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
    late = server.connect()
    late.send(GET)
    eventlet.sleep(0.3)
    go.send()
    assert [client.response()[2] for client in (*busy, late)] == [b"hello"] * 3


def end(server):
    """End a server, and wait until it has ended."""
    server.thread.kill()
    with suppress(eventlet.greenlet.GreenletExit):
        server.thread.wait()


@pytest.fixture
def watched(protocol):
    """Give a protocol, and a function that waits until one has got the first bytes."""
    made = []

    class Watched(protocol):
        def __init__(self, *args):
            made.append(self)
            super().__init__(*args)

    def wait(silent=False):
        while not made or made[0].is_silent() != silent:
            eventlet.sleep(0.01)

    return Watched, wait


@pytest.mark.parametrize("start", [b"G", GET[:-2], GET[:-1]])
def test_head_under_way_at_the_end_is_waited_for(serve, watched, start):
    protocol, wait = watched
    server = serve(hello, protocol=protocol, limits=wsgi.Limits(drain=30))
    client = server.connect()
    client.send(start)
    wait()
    eventlet.spawn(server.thread.kill)
    while server.sock.fileno() >= 0:
        eventlet.sleep(0.01)
    client.send(GET[len(start) :])
    status, headers, body = client.response()
    assert (status, body) == ("HTTP/1.1 200 OK", b"hello")
    assert headers["connection"] == "close"
    assert client.is_closed()


@pytest.mark.parametrize("start", [b"", b"G", GET[:-2]])
def test_end_waits_no_longer_than_the_limit(serve, watched, start):
    """And as long for one that says nothing: its request may be on the way."""
    protocol, wait = watched
    server = serve(hello, protocol=protocol, limits=wsgi.Limits(drain=0.2))
    client = server.connect()
    client.send(start)
    wait(silent=not start)
    began = time.monotonic()
    end(server)
    took = time.monotonic() - began
    assert client.is_closed()
    assert 0.15 < took < 5, took


def test_what_is_served_at_the_end_has_no_limit(serve, protocol):
    """`drain` is the clients' time, and not the application's."""

    def slow(environ, start_response):
        asked.send()
        eventlet.sleep(0.3)
        return hello(environ, start_response)

    asked = eventlet.Event()
    server = serve(slow, protocol=protocol, limits=wsgi.Limits(drain=0.05))
    client = server.connect()
    client.send(GET)
    asked.wait()
    end(server)
    assert client.response()[2] == b"hello"
