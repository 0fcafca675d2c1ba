"""
What becomes of those who have connected when a listening socket ends.
"""

import contextlib
import socket

import pytest

import eventlet
from eventlet._wsgi.backlog import end_listening


@pytest.fixture
def closing():
    """Close each socket that is handed to it when the test is over."""
    with contextlib.ExitStack() as stack:
        yield lambda sock: stack.enter_context(contextlib.closing(sock))


@pytest.fixture(params=["tcp", "unix"])
def listener(request, tmp_path):
    if request.param == "tcp":
        return eventlet.listen(("127.0.0.1", 0))
    return eventlet.listen(str(tmp_path / "socket"), family=socket.AF_UNIX)


@pytest.fixture
def client_of(closing):
    def connected(address):
        family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
        sock = closing(eventlet.green.socket.socket(family))
        sock.settimeout(5)
        sock.connect(address)
        return sock

    return connected


def test_who_has_connected_is_served(listener, client_of, closing):
    address = listener.getsockname()
    clients = [client_of(address) for _ in range(5)]
    clients[1].close()
    connections = end_listening(listener)
    assert len(connections) == 5
    for sock, peer in connections:
        assert type(closing(sock)) is type(listener)
        assert peer == sock.getpeername()
        with contextlib.suppress(BrokenPipeError):
            sock.sendall(b"served")
    answers = [client.recv(10) for client in (clients[0], *clients[2:])]
    assert answers == [b"served"] * 4


def test_who_comes_later_is_refused_at_once(listener, client_of):
    address = listener.getsockname()
    assert end_listening(listener) == []
    assert listener.fileno() == -1
    with pytest.raises(ConnectionRefusedError), eventlet.Timeout(0.9):
        client_of(address)


def test_others_who_have_the_socket_go_on(listener, client_of, closing):
    address = listener.getsockname()
    other = closing(listener.dup())
    end_listening(listener)
    with eventlet.Timeout(0.9):
        client = client_of(address)
        connection = closing(other.accept()[0])
        client.sendall(b"hello")
        assert connection.recv(10) == b"hello"


def test_tls_is_not_negotiated_before_its_connection_is_served(client_of, closing):
    listener = eventlet.listen(("127.0.0.1", 0))
    address = listener.getsockname()
    context = eventlet.green.ssl.SSLContext(eventlet.green.ssl.PROTOCOL_TLS_SERVER)
    secure = context.wrap_socket(listener, server_side=True)
    client_of(address)
    with eventlet.Timeout(0.9):
        [(connection, _)] = end_listening(secure)
    assert type(closing(connection)) is type(secure)


def test_a_closed_socket_has_nobody():
    listener = eventlet.listen(("127.0.0.1", 0))
    listener.close()
    assert end_listening(listener) == []


def test_a_way_of_accepting_of_its_own_is_used(client_of, closing):
    class Counting(eventlet.greenio.GreenSocket):
        accepted = 0

        def accept(self):
            connection = super().accept()
            self.accepted += 1
            return connection

    listener = Counting(eventlet.listen(("127.0.0.1", 0)))
    clients = [client_of(listener.getsockname()) for _ in range(3)]
    connections = [closing(sock) for sock, _ in end_listening(listener)]
    assert len(connections) == len(clients) == listener.accepted
