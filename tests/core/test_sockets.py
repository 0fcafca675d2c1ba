"""Sockets read natively: no byte, end of stream or error is missed."""

from __future__ import annotations

import random
import socket as original_socket

import pytest

import eventlet
from eventlet.green import socket


@pytest.fixture
def ends():
    """Give two connected green sockets."""
    left, right = socket.socketpair()
    yield left, right
    left.close()
    right.close()


def test_recv_sees_the_end_that_came_with_the_last_bytes(ends):
    """The reader waits, then gets bytes and end of stream in one event."""
    left, right = ends
    reader = eventlet.spawn(lambda: [left.recv(100) for _ in range(3)])
    eventlet.sleep(0)
    right.sendall(b"bytes")
    right.close()
    assert reader.wait() == [b"bytes", b"", b""]


def test_recv_sees_the_end_that_came_after_a_short_read(ends):
    left, right = ends
    right.sendall(b"first")
    assert left.recv(100) == b"first"
    reader = eventlet.spawn(left.recv, 100)
    eventlet.sleep(0)
    right.sendall(b"second")
    assert reader.wait() == b"second"
    right.shutdown(original_socket.SHUT_WR)
    assert left.recv(100) == b""


def test_recv_sees_what_came_between_a_short_read_and_the_wait(ends):
    left, right = ends
    waiter = eventlet.spawn(left.recv, 100)
    eventlet.sleep(0)
    right.sendall(b"a")
    assert waiter.wait() == b"a"
    right.sendall(b"b")
    assert left.recv(100) == b"b"
    right.sendall(b"c")
    assert left.recv(100) == b"c"


def test_recv_on_a_drained_socket_times_out(ends):
    left, right = ends
    waiter = eventlet.spawn(left.recv, 100)
    eventlet.sleep(0)
    right.sendall(b"a")
    assert waiter.wait() == b"a"
    left.settimeout(0.01)
    with pytest.raises(TimeoutError):
        left.recv(100)
    right.sendall(b"b")
    assert left.recv(100) == b"b"


def test_recv_on_a_drained_socket_learns_of_its_close(ends):
    left, right = ends
    waiter = eventlet.spawn(left.recv, 100)
    eventlet.sleep(0)
    right.sendall(b"a")
    assert waiter.wait() == b"a"
    waiter = eventlet.spawn(left.recv, 100)
    eventlet.sleep(0)
    left.close()
    with pytest.raises(OSError):
        waiter.wait()


@pytest.mark.parametrize("seed", range(5))
def test_stream_arrives_whole_whatever_the_sizes(ends, seed):
    left, right = ends
    rnd = random.Random(seed)
    data = rnd.randbytes(300_000)

    def send():
        view = memoryview(data)
        while view:
            size = rnd.choice((1, 7, 100, 4096, 70_000))
            right.sendall(view[:size])
            view = view[size:]
            if rnd.random() < 0.3:
                eventlet.sleep(0)
        right.close()

    def receive():
        got = bytearray()
        while chunk := left.recv(rnd.choice((1, 100, 4096, 65_536))):
            got += chunk
        return bytes(got)

    eventlet.spawn(send)
    assert eventlet.spawn(receive).wait() == data
