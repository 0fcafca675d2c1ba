"""How long a connection lasts, and what ends it, both ways through a connection."""

from __future__ import annotations

import errno

import pytest
from tests.wsgi.applications import GET, answering, echo, hello

import eventlet
from eventlet.event import Event
from eventlet.green import socket


def test_connection_serves_request_after_request(serve, protocol):
    client = serve(hello, protocol=protocol).connect()
    for _ in range(3):
        status, headers, body = client.ask(GET)
        assert (status, body) == ("HTTP/1.1 200 OK", b"hello")
        assert headers.keys() == {"content-type", "content-length", "date"}


def test_pipelined_requests_are_answered_in_order(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    one = b"PUT /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab"
    two = b"PUT /%d HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nc\r\n0\r\n\r\n"
    client.send(b"".join((one if n % 2 else two) % n for n in range(400)))
    for n in range(400):
        assert client.response()[2] == b"/%d:%b" % (n, b"ab" if n % 2 else b"c")


def test_pipeline_leaves_others_their_turn(serve, protocol):
    """A client that has sent hundreds of requests at once is not served alone."""
    order = []

    def application(environ, start_response):
        order.append(environ["PATH_INFO"])
        return hello(environ, start_response)

    server = serve(application, protocol=protocol, log_output=False)
    greedy, other = server.connect(), server.connect()
    eventlet.sleep(0.01)  # both are accepted
    greedy.send(b"GET /greedy HTTP/1.1\r\nHost: a\r\n\r\n" * 400)
    other.send(b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n")
    other.response()
    for _ in range(400):
        greedy.response()
    assert order.index("/other") < 200


@pytest.mark.parametrize("reads", [True, False], ids=["read", "discarded"])
def test_tiny_chunks_leave_others_their_turn(serve, protocol, reads):
    """Thousands of them arrive with one packet: none has to be waited for."""

    def application(environ, start_response):
        seen.append(turns[0])
        if reads:
            assert len(environ["wsgi.input"].read()) == 5000
            seen.append(turns[0])
        return hello(environ, start_response)

    def count():
        while True:
            turns[0] += 1
            eventlet.sleep(0)

    seen, turns = [], [0]
    client = serve(application, protocol=protocol).connect()
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(b"1\r\na\r\n" * 5000 + b"0\r\n\r\n")
    counter = eventlet.spawn(count)
    client.ask(GET)
    client.response()
    seen.append(turns[0])
    counter.kill()
    assert seen[1] - seen[0] >= 5000 // 256


def test_responses_are_not_held_back_by_the_kernel(serve, protocol):
    """A small piece leaves without waiting for the client's word on the one before."""

    def application(environ, start_response):
        sock = environ["wsgi.input"].get_socket()
        start_response("200 OK", [])
        return [b"%d" % sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)]

    assert serve(application, protocol=protocol).ask(GET)[2] == b"1"


def test_requests_may_arrive_byte_by_byte(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    for byte in b"\r\nPUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nab" + GET:
        client.send(bytes([byte]))
        eventlet.sleep(0)
    assert client.response()[2] == b"/a:ab"
    assert client.response()[2] == b"/:"


def test_pipeline_may_be_split_anywhere(serve, protocol):
    """Wherever packets end, each request is answered as if it had come alone."""
    pipeline = (
        b"PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
        b"PUT /b HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"2;x=y\r\nde\r\n1\r\nf\r\n0\r\nTrailer: x\r\n\r\n"
        b"\r\n\r\nPUT /c HTTP/1.0\r\nContent-Length: 1\r\n\r\ng"
    )
    server = serve(echo, protocol=protocol, log_output=False)
    for position in range(1, len(pipeline)):
        client = server.connect()
        client.send(pipeline[:position])
        eventlet.sleep(0)  # the server reads
        eventlet.sleep(0)
        client.send(pipeline[position:])
        bodies = [client.response()[2] for _ in range(3)]
        assert bodies == [b"/a:abc", b"/b:def", b"/c:g"], position
        assert client.is_closed()
        client.close()


def test_what_the_application_leaves_of_a_body_is_skipped(serve, protocol):
    client = serve(hello, protocol=protocol).connect()
    client.send(
        b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + b"GET " * 25000
    )
    assert client.response()[2] == b"hello"
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
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
    request = f"GET / HTTP/1.{version}\r\nHost: a\r\n{option}\r\n".encode()
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
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"
    assert client.ask(request)[1]["keep-alive"] == "timeout=0"
    assert client.is_closed()


@pytest.mark.parametrize("start", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: a"])
def test_socket_timeout_ends_a_silent_connection(serve, protocol, start):
    client = serve(hello, protocol=protocol, socket_timeout=0.1).connect()
    client.send(start)
    assert client.is_closed()


def test_socket_timeout_ends_a_connection_that_is_not_read(serve, protocol):
    """A client that takes no response holds its green thread no longer than that."""
    pool = eventlet.GreenPool()
    server = serve(
        answering(b"a" * 20_000_000),
        protocol=protocol,
        socket_timeout=0.1,
        custom_pool=pool,
    )
    client = server.connect()
    client.send(GET)
    eventlet.sleep(0)
    assert pool.running() == 1
    pool.waitall()
    assert client.head()[1]["content-length"] == "20000000"


def test_header_timeout_ends_a_head_that_dribbles(serve, protocol):
    """Each byte comes in time, and yet the whole takes too long."""

    class Hasty(protocol):
        header_timeout = 0.3

    client = serve(hello, protocol=Hasty, socket_timeout=5).connect()
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\nA: ")
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
    client.send(f"PUT / HTTP/1.1\r\nHost: a\r\n{head}\r\n\r\n".encode())
    eventlet.spawn(lambda: [eventlet.sleep(0.02) or client.send(b"a") for _ in "abc"])
    assert client.response()[0] == "HTTP/1.1 408 Request Timeout"
    assert client.is_closed()


def test_body_is_waited_for_without_limit_by_default(serve, protocol):
    client = serve(echo, protocol=protocol).connect()
    client.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\na")
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
