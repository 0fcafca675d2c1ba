"""Green threads whose operations never wait give others their turn: turns are counted."""

from __future__ import annotations

import contextlib
import errno
import os
import socket as original_socket
from pathlib import Path

import pytest

import eventlet
from eventlet import greenio, tpool
from eventlet.event import Event
from eventlet.green import os as green_os
from eventlet.green import socket, ssl
from eventlet.queue import LightQueue
from eventlet_asyncio import _core

DATA = Path(__file__).parents[1] / "data"
OPERATIONS = 256
"""What one turn allows; see ``docs/explanation/hub-turn.md``."""


class Witness:
    """A green thread that is always ready, and counts its turns."""

    def __init__(self):
        self.turns = 0
        self.thread = eventlet.spawn(self._run)
        eventlet.sleep(0)

    def _run(self):
        while True:
            self.turns += 1
            eventlet.sleep(0)

    def watch(self, operation, times):
        """Repeat an operation; return the longest series between two turns."""
        longest = series = 0
        seen = self.turns
        for _ in range(times):
            operation()
            series = 1 if self.turns != seen else series + 1
            seen = self.turns
            longest = max(longest, series)
        return longest


@pytest.fixture
def witness():
    """Give a witness that ends with the test."""
    witness = Witness()
    yield witness
    witness.thread.kill()


@pytest.fixture
def ends():
    """Give two connected green sockets."""
    left, right = socket.socketpair()
    yield left, right
    left.close()
    right.close()


TIMES = 2000


def _full(ends):
    """Return a socket that has bytes to read for all operations."""
    left, right = ends
    right.fd.setsockopt(original_socket.SOL_SOCKET, original_socket.SO_SNDBUF, 1 << 20)
    right.sendall(bytes(TIMES))
    return left


def test_recv_gives_way(ends, witness):
    left = _full(ends)
    assert witness.watch(lambda: left.recv(1), TIMES) <= OPERATIONS


def test_recv_into_gives_way(ends, witness):
    left, buffer = _full(ends), bytearray(1)
    assert witness.watch(lambda: left.recv_into(buffer), TIMES) <= OPERATIONS


def test_lines_of_a_file_give_way(ends, witness):
    """The buffer's lines cost no operation, what fills it does."""
    left, right = ends
    right.sendall(b"a\n" * TIMES)
    with left.makefile("rb", 4) as file:
        assert witness.watch(file.readline, TIMES) <= 2 * OPERATIONS + 2


def test_send_gives_way(ends, witness):
    """The buffer has room for what is sent, as with a peer that reads fast."""
    left, right = ends
    right.setblocking(False)  # which pays nothing

    def send():
        left.send(b"a")
        left.sendall(b"bc")
        assert right.recv(10) == b"abc"

    assert witness.watch(send, TIMES) <= OPERATIONS // 2


def test_sendall_gives_way_within_one_call(ends):
    """A peer in another OS thread takes all that is sent at once."""
    left, right = ends
    done, turns = [], [0]

    def drain():
        total = 0
        real = original_socket.socket(fileno=os.dup(right.fileno()))
        real.setblocking(True)
        while total < 64 << 20:
            total += len(real.recv(1 << 20))
        real.close()

    def ticks():
        while not done:
            eventlet.sleep(0)
            turns[0] += 1

    reader = eventlet.spawn(tpool.execute, drain)
    witness = eventlet.spawn(ticks)
    left.sendall(bytes(64 << 20))
    done.append(True)
    reader.wait()
    witness.wait()
    assert turns[0] > 1


def test_datagrams_give_way(witness):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        address = sock.getsockname()

        def echo():
            sock.sendto(b"x", address)
            sock.recvfrom(10)

        assert witness.watch(echo, 600) <= OPERATIONS


def test_accept_gives_way(witness):
    listener = eventlet.listen(("127.0.0.1", 0), backlog=700)
    clients = []
    for _ in range(600):
        client = original_socket.socket()
        client.setblocking(False)
        client.connect_ex(listener.getsockname())
        clients.append(client)
    accepted = []
    try:
        assert (
            witness.watch(lambda: accepted.append(listener.accept()), 600) <= OPERATIONS
        )
    finally:
        for sock in [listener, *clients, *(sock for sock, _ in accepted)]:
            sock.close()


def test_tls_gives_way(ends, witness):
    left, right = ends
    server = eventlet.spawn(
        ssl.wrap_socket,
        left,
        server_side=True,
        certfile=str(DATA / "localhost.crt"),
        keyfile=str(DATA / "localhost.key"),
    )
    client = ssl.wrap_socket(right)
    server = server.wait()
    client.sendall(bytes(TIMES))
    assert witness.watch(lambda: server.recv(1), TIMES) <= OPERATIONS
    client.close()
    server.close()


def test_pipes_give_way(witness):
    reading, writing = os.pipe()
    os.write(writing, bytes(TIMES))
    assert witness.watch(lambda: green_os.read(reading, 1), TIMES // 2) <= OPERATIONS
    with greenio.GreenPipe(reading, "rb", 0) as file:
        assert witness.watch(lambda: file.read(1), TIMES // 2) <= OPERATIONS
    os.close(writing)


def test_queue_that_is_never_empty_gives_way(witness):
    """Of a queue the time counts, since what it does is so short."""
    queue = LightQueue()
    turns = witness.turns
    end = cpu_time() + 0.1
    while cpu_time() < end:
        queue.put(1)
        queue.get()
    assert witness.turns - turns >= 5


def test_queue_that_does_not_block_keeps_the_turn(witness):
    """Code between two such calls is not interrupted."""
    queue = LightQueue()
    turns = witness.turns
    end = cpu_time() + 0.05
    while cpu_time() < end:
        queue.put(1)
        queue.get(block=False)
        queue.put(1)
        queue.get_nowait()
    assert witness.turns == turns


def test_giver_of_way_lets_timers_and_sockets_go_first(ends):
    """Who has become ready meanwhile is served before the one that was served so long."""
    left = _full(ends)
    order = []
    one, two = socket.socketpair()
    eventlet.spawn(lambda: (one.recv(1), order.append("socket")))
    eventlet.sleep(0)
    two.send(b"a")
    eventlet.spawn_after(0, order.append, "timer")
    for _ in range(TIMES):
        left.recv(1)
        if order:
            break
    assert sorted(order) == ["socket", "timer"]
    one.close()
    two.close()


def test_nothing_is_lost_to_a_timeout_while_others_run(ends):
    """Giving way comes before the operation, so what it would have read is still there."""
    left, right = ends
    sent = bytes(range(250)) * 8
    right.sendall(sent)
    reader, hub = eventlet.getcurrent(), eventlet.hubs.get_hub()

    def disturb():
        while True:
            hub.schedule_call_global(0, reader.throw, LookupError)
            eventlet.sleep(0)

    got, disturbed = b"", 0
    thread = eventlet.spawn(disturb)
    while len(got) < len(sent):
        try:
            got += left.recv(1)
        except LookupError:
            disturbed += 1
    # One may still be on its way.
    with contextlib.suppress(LookupError):
        thread.kill()
    with contextlib.suppress(LookupError):
        eventlet.sleep(0)
    assert got == sent
    assert disturbed >= 2


def test_descriptor_that_is_closed_meanwhile_is_not_another_files(ends):
    """The number may have been given away when the green thread's turn comes again."""
    left = _full(ends)
    number = left.fileno()
    others = []

    def exchange():
        left.close()
        others.extend(socket.socketpair())
        others[1].sendall(b"not for you")

    eventlet.spawn(exchange)
    with pytest.raises(OSError, match="Bad file descriptor") as caught:
        for _ in range(TIMES):
            fd = number if not others else -1
            assert _core.sock_recv(fd, 1, 0, None) == b"\0"
    assert caught.value.errno == errno.EBADF
    assert number in [sock.fileno() for sock in others]
    assert others[0].recv(100) == b"not for you"
    for sock in others:
        sock.close()


def test_callback_of_a_timer_cannot_give_way(ends):
    """It runs on the loop's stack, where nobody can wait: its operations just go on."""
    left = _full(ends)
    done = Event()

    def read():
        done.send(sum(len(left.recv(1)) for _ in range(TIMES)))

    eventlet.hubs.get_hub().schedule_call_global(0, read)
    assert done.wait() == TIMES


def cpu_time():
    """Return the seconds of CPU time that this OS thread has used."""
    from eventlet.patcher import original

    return original("time").thread_time()
