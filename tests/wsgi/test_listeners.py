"""Listening sockets of all kinds, pools, and the end of a server."""

from __future__ import annotations

import errno

import pytest
from tests.wsgi.applications import GET, answering, hello

import eventlet
from eventlet import wsgi
from eventlet.event import Event
from eventlet.green import socket, ssl
from eventlet.support.greenlets import GreenletExit

DATA = "tests/data"


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


def test_ipv6_is_served(serve, protocol):
    def application(environ, start_response):
        start_response("200 OK", [])
        return [f"{environ['SERVER_NAME']} {environ['REMOTE_ADDR']}".encode()]

    try:
        server = serve(
            application,
            protocol=protocol,
            family=socket.AF_INET6,
            address=("::1", 0),
        )
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    assert server.ask(GET)[2] == b"::1 ::1"
    lines = server.log.getvalue().splitlines()
    assert lines[0].endswith(f"starting up on http://[::1]:{server.address[1]}")
    assert lines[-1].startswith("::1 - - [")


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


def test_end_over_tls_is_announced_and_loses_nothing(serve, protocol):
    """A client that is still sending gets its response, and then the end, not a reset."""
    body = b"a" * 300_000
    listener = eventlet.wrap_ssl(
        eventlet.listen(("127.0.0.1", 0)),
        certfile=f"{DATA}/localhost.crt",
        keyfile=f"{DATA}/localhost.key",
        server_side=True,
    )
    server = serve(answering(body), protocol=protocol, sock=listener)
    context = ssl.create_default_context(cafile=f"{DATA}/localhost.crt")
    client = server.connect()
    client.sock = context.wrap_socket(
        client.sock, server_hostname="localhost", suppress_ragged_eofs=False
    )
    client.send(b"GET / HTTP/1.0\r\n\r\n" + b"more" * 10_000)
    assert client.response()[2] == body
    assert client.is_closed()


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
    errors = [
        errno.ECONNABORTED, errno.ECONNRESET, errno.EMFILE, errno.ENOTCONN,
        errno.EPIPE, errno.EPROTO, errno.ESHUTDOWN,
    ]  # fmt: skip
    accept = listener.accept

    def failing():
        if errors:
            code = errors.pop(0)
            raise OSError(code, "on purpose")
        return accept()

    listener.accept = failing
    server = serve(hello, sock=listener)
    assert server.ask(GET)[2] == b"hello"
    assert errors == []
    assert server.log.getvalue().count("no connection can be accepted") == 1


def test_process_out_of_descriptors_does_not_spin(serve):
    """Until others close theirs there is nothing to do, and others need the processor."""
    listener = eventlet.listen(("127.0.0.1", 0))
    calls = []

    def failing():
        calls.append(None)
        raise OSError(errno.EMFILE, "on purpose")

    listener.accept = failing
    serve(hello, sock=listener)
    eventlet.sleep(0.15)
    assert 1 <= len(calls) <= 3


def test_accept_that_fails_for_good_ends_the_server(serve):
    """Whoever started it gets the error: a socket that does not listen is a mistake."""
    sock = socket.socket()
    sock.bind(("127.0.0.1", 0))
    server = serve(hello, sock=sock)
    with pytest.raises(OSError, match="Invalid argument"):
        server.thread.wait()


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
    busy.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
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
