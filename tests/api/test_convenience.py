"""Promises of `eventlet.convenience`: listen, connect, serve."""

from __future__ import annotations

import errno
import warnings

import pytest

import eventlet
from eventlet import convenience, debug
from eventlet.green import socket


@pytest.fixture(autouse=True)
def quiet():
    """Keep expected failures of handlers out of the output."""
    debug.hub_exceptions(False)
    yield
    debug.hub_exceptions(True)


@pytest.fixture
def listener():
    sock = eventlet.listen(("127.0.0.1", 0))
    yield sock
    sock.close()


@pytest.fixture
def connect(listener):
    """Connect to the listener; closed at the end."""
    clients = []

    def enter():
        clients.append(eventlet.connect(listener.getsockname()))
        return clients[-1]

    yield enter
    for client in clients:
        client.close()


def test_connect_reaches_what_listen_opened(listener):
    client = eventlet.connect(listener.getsockname())
    server, address = listener.accept()
    assert address == client.getsockname()
    client.sendall(b"hello")
    assert server.recv(5) == b"hello"
    client.close()
    server.close()


def test_connect_can_choose_its_own_address(listener):
    client = eventlet.connect(listener.getsockname(), bind=("127.0.0.2", 0))
    assert client.getsockname()[0] == "127.0.0.2"
    client.close()


def test_connect_that_fails_raises_and_leaves_no_socket(listener):
    address = listener.getsockname()
    listener.close()
    with warnings.catch_warnings():
        warnings.simplefilter("error", ResourceWarning)
        with pytest.raises(ConnectionRefusedError):
            eventlet.connect(address)


def test_listen_works_on_unix_sockets(tmp_path):
    path = str(tmp_path / "s")
    listener = eventlet.listen(path, family=socket.AF_UNIX)
    client = eventlet.connect(path, family=socket.AF_UNIX)
    assert listener.getsockname() == path
    client.close()
    listener.close()


def test_listen_on_a_port_of_the_systems_choice_does_not_share_it(listener):
    assert not listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)


def test_listen_shares_a_known_port(listener):
    address = listener.getsockname()
    listener.close()
    first, second = eventlet.listen(address), eventlet.listen(address)
    assert first.getsockname() == second.getsockname()
    first.close()
    second.close()


def test_listen_with_reuse_port_switched_off_keeps_the_port_to_itself(listener):
    address = listener.getsockname()
    listener.close()
    first = eventlet.listen(address, reuse_port=False)
    with pytest.raises(OSError) as refused:
        eventlet.listen(address, reuse_port=False)
    assert refused.value.errno == errno.EADDRINUSE
    first.close()


def test_listen_warns_where_a_port_would_be_shared_with_strangers():
    with pytest.warns(convenience.ReuseRandomPortWarning) as caught:
        eventlet.listen(("127.0.0.1", 0), reuse_port=True).close()
    assert caught[0].filename == __file__


def test_serve_runs_handlers_at_the_same_time(listener, connect):
    meeting = [eventlet.Event(), eventlet.Event()]

    def handle(conn, address):
        number = int(conn.recv(1))
        meeting[number].send()
        meeting[1 - number].wait()
        conn.sendall(b"met")

    server = eventlet.spawn(eventlet.serve, listener, handle)
    clients = [connect() for _ in range(2)]
    for number, client in enumerate(clients):
        client.sendall(b"%d" % number)
    assert [client.recv(3) for client in clients] == [b"met", b"met"]
    server.kill()


def test_serve_closes_the_connection_when_its_handler_ends(listener, connect):
    server = eventlet.spawn(eventlet.serve, listener, lambda conn, address: None)
    client = connect()
    assert client.recv(1) == b""
    server.kill()


def test_serve_ends_on_stopserve(listener, connect):
    def handle(conn, address):
        raise eventlet.StopServe

    client = eventlet.spawn(connect)
    assert eventlet.serve(listener, handle) is None
    assert client.wait().recv(1) == b""


def test_serve_raises_what_a_handler_raises(listener, connect):
    def handle(conn, address):
        raise LookupError("why")

    client = eventlet.spawn(connect)
    with pytest.raises(LookupError, match="why"):
        eventlet.serve(listener, handle)
    assert client.wait().recv(1) == b""


def test_serve_goes_on_when_a_handler_is_killed(listener, connect):
    handlers = []

    def handle(conn, address):
        handlers.append(eventlet.getcurrent())
        conn.sendall(b"x")
        eventlet.Event().wait()

    server = eventlet.spawn(eventlet.serve, listener, handle)
    first = connect()
    assert first.recv(1) == b"x"
    handlers[0].kill()
    assert first.recv(1) == b""
    second = connect()
    assert second.recv(1) == b"x"
    server.kill()


def test_serve_accepts_no_more_than_its_concurrency(listener, connect):
    entered = []
    release = eventlet.Event()

    def handle(conn, address):
        entered.append(address)
        release.wait()

    server = eventlet.spawn(eventlet.serve, listener, handle, concurrency=2)
    clients = [connect() for _ in range(3)]
    with eventlet.Timeout(5):
        while len(entered) < 2:
            eventlet.sleep(0)
    for _ in range(10):
        eventlet.sleep(0)
    assert len(entered) == 2
    release.send()
    assert [client.recv(1) for client in clients] == [b""] * 3
    assert len(entered) == 3
    server.kill()
