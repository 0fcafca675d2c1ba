"""Promises of `eventlet.greenio` and the green modules of descriptors."""

from __future__ import annotations

import contextlib
import errno
import gc
import os
import pickle
import socket as standard
import struct
import subprocess
import sys
import tempfile
import warnings
import weakref

import pytest

import eventlet
from eventlet import greenio, hubs
from eventlet.green import os as green_os
from eventlet.green import select, socket
from eventlet.green import subprocess as green_subprocess
from eventlet.hubs import hub as hub_module
from eventlet.patcher import original


@pytest.fixture
def pair():
    one, two = socket.socketpair()
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def listener():
    sock = eventlet.listen(("127.0.0.1", 0))
    yield sock
    sock.close()


@pytest.fixture
def pipe():
    """Give the descriptors of a blocking pipe."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):  # closed by the test
            os.close(fd)


def in_order(*calls):
    """Run the calls in green threads, started in this order; return what happened."""
    log = []

    def run(name, call):
        log.append((name, "starts"))
        try:
            log.append((name, call()))
        except Exception as error:
            log.append((name, type(error), getattr(error, "errno", None)))

    threads = [eventlet.spawn(run, number, call) for number, call in enumerate(calls)]
    for thread in threads:
        thread.wait()
    return log


def full(sock):
    """Send until nothing more fits; return how much that was."""
    timeout = sock.gettimeout()
    sock.settimeout(0)
    total = 0
    try:
        while True:
            total += sock.send(b"x" * 65536)
    except BlockingIOError:
        return total
    finally:
        sock.settimeout(timeout)


# Waiting


def test_recv_lets_other_green_threads_run(pair):
    one, two = pair
    log = in_order(lambda: one.recv(5), lambda: two.sendall(b"hello"))
    assert log == [(0, "starts"), (1, "starts"), (1, None), (0, b"hello")]


def test_recv_does_not_wait_for_what_is_there(pair):
    """Data at hand is no reason to let anybody else run."""
    one, two = pair
    two.sendall(b"hello")
    ran = []
    eventlet.spawn(ran.append, 1)
    assert one.recv(5) == b"hello"
    assert ran == []


def test_send_waits_for_room_and_goes_on(pair):
    one, two = pair
    size = full(one)

    def drain():
        left = size
        while left:
            left -= len(two.recv(left))
        return two.recv(4)

    log = in_order(lambda: one.send(b"more"), drain)
    assert log[:2] == [(0, "starts"), (1, "starts")]
    assert sorted(log[2:]) == [(0, 4), (1, b"more")]


def test_both_directions_wait_at_the_same_time(pair):
    one, two = pair
    size = full(one)

    def drain():
        two.sendall(b"news")
        left = size
        while left:
            left -= len(two.recv(left))

    log = in_order(lambda: one.recv(4), lambda: one.sendall(b"!"), drain)
    assert {entry for entry in log if entry[1] != "starts"} == {
        (0, b"news"),
        (1, None),
        (2, None),
    }


READS = {
    "recv": lambda sock: sock.recv(1),
    "recv of nothing": lambda sock: sock.recv(0),
    "recv_into": lambda sock: sock.recv_into(bytearray(1)),
    "recv_into nothing": lambda sock: sock.recv_into(bytearray()),
    "recvfrom": lambda sock: sock.recvfrom(1),
    "recvfrom_into": lambda sock: sock.recvfrom_into(bytearray(1)),
    "recvmsg": lambda sock: sock.recvmsg(1),
    "recvmsg_into": lambda sock: sock.recvmsg_into([bytearray(1)]),
}


@pytest.mark.parametrize("read", READS)
def test_reads_time_out_as_the_standard_ones_do(pair, read):
    one, _two = pair
    one.settimeout(0.01)
    with pytest.raises(TimeoutError) as late:
        READS[read](one)
    assert late.value.args == ("timed out",)
    assert eventlet.is_timeout(late.value)


def test_sendall_times_out_in_all(pair):
    """The limit is for the whole call, however often it has to wait."""
    one, _two = pair
    one.settimeout(0.05)
    with pytest.raises(TimeoutError, match="timed out"):
        one.sendall(b"x" * 10_000_000)


def test_timeout_of_zero_means_not_to_wait(pair):
    one, _two = pair
    one.settimeout(0)
    assert not one.getblocking()
    with pytest.raises(BlockingIOError):
        one.recv(1)
    one.settimeout(None)
    assert one.getblocking()
    assert one.gettimeout() is None


@pytest.mark.parametrize(
    ("value", "error"),
    [("", TypeError), (b"1", TypeError), (-1, ValueError), (float("nan"), ValueError)],
)
def test_settimeout_refuses_what_is_no_time(pair, value, error):
    with pytest.raises(error):
        pair[0].settimeout(value)
    assert pair[0].gettimeout() is None


def test_default_timeout_holds_for_new_sockets():
    original("socket").setdefaulttimeout(0.25)
    try:
        with socket.socket() as sock:
            assert sock.gettimeout() == 0.25
    finally:
        original("socket").setdefaulttimeout(None)


def test_eventlet_timeout_interrupts_a_read(pair):
    one, two = pair
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        one.recv(1)
    two.sendall(b"x")
    assert one.recv(1) == b"x"


def test_killed_reader_leaves_the_socket_usable(pair):
    one, two = pair
    reader = eventlet.spawn(one.recv, 1)
    eventlet.sleep(0)
    reader.kill()
    two.sendall(b"x")
    assert one.recv(1) == b"x"


# Closing


@pytest.mark.parametrize("read", READS)
def test_close_wakes_readers_with_an_error(pair, read):
    one, _two = pair
    log = in_order(lambda: READS[read](one), one.close)
    assert [entry[0] for entry in log[:3]] == [0, 1, 1]
    kind, number = log[3][1:]
    assert issubclass(kind, OSError)
    assert number == errno.EBADF


def test_close_wakes_writers_with_an_error(pair):
    one, _two = pair
    full(one)
    log = in_order(lambda: one.sendall(b"x"), one.close)
    assert log[3][2] == errno.EBADF


def test_close_wakes_who_accepts(listener):
    log = in_order(listener.accept, listener.close)
    assert log[3][2] == errno.EBADF


def test_number_of_a_closed_socket_can_be_used_at_once(pair):
    """A waiter of the old socket never takes data of the new one."""
    one, _two = pair
    number = one.fileno()
    reader = eventlet.spawn(one.recv, 10)
    eventlet.sleep(0)
    one.close()
    new, peer = socket.socketpair()
    assert number in (new.fileno(), peer.fileno())
    with new, peer:
        peer.sendall(b"for the new one")
        with pytest.raises(OSError, match="descriptor"):
            reader.wait()
        assert new.recv(20) == b"for the new one"


def test_shutdown_ends_the_wait_of_a_reader(pair):
    one, _two = pair
    log = in_order(lambda: one.recv(1), lambda: one.shutdown(socket.SHUT_RD))
    assert log[-1] == (0, b"")


def test_closed_socket_raises_what_the_standard_one_does():
    closed = socket.socket()
    closed.close()
    assert closed.fileno() == -1
    for call in (lambda: closed.recv(1), lambda: closed.send(b"x"), closed.accept):
        with pytest.raises(OSError, match="Bad file") as failed:
            call()
        assert failed.value.errno == errno.EBADF


def test_peer_that_resets_the_connection_ends_the_stream(listener):
    client = eventlet.connect(listener.getsockname())
    server, _address = listener.accept()
    linger = struct.pack("ii", 1, 0)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    log = in_order(lambda: client.recv(1), server.close)
    assert log[-1] == (0, b"")
    client.close()


def test_socket_that_is_dropped_is_closed_and_not_kept():
    """The hub remembers numbers, never sockets."""
    one, two = socket.socketpair()
    reader = eventlet.spawn(two.recv, 1)
    eventlet.sleep(0)
    real = weakref.ref(one.fd)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        del one
        gc.collect()
    assert real() is None
    assert reader.wait() == b""
    two.close()


def test_dropped_socket_warns_as_the_standard_one_does():
    dropped = [socket.socket()]
    with pytest.warns(ResourceWarning, match="unclosed"):
        dropped.clear()


def test_detach_gives_the_descriptor_away(pair):
    one, two = pair
    fd = one.detach()
    assert one.fileno() == -1
    again = standard.socket(fileno=fd)
    with again:
        again.setblocking(True)
        two.sendall(b"x")
        assert again.recv(1) == b"x"


def test_detach_wakes_who_waits(pair):
    one, _two = pair
    reader = eventlet.spawn(one.recv, 1)
    eventlet.sleep(0)
    os.close(one.detach())
    with pytest.raises(OSError, match="descriptor"):
        reader.wait()


# The rest of a socket


def test_makefile_keeps_the_descriptor_open(pair):
    one, two = pair
    with one.makefile("wb") as file:
        one.close()
        file.write(b"line\n")
    assert two.makefile("rb").readline() == b"line\n"
    assert one.fileno() == -1


def test_dup_is_independent_and_keeps_the_timeout(pair):
    one, two = pair
    one.settimeout(3)
    other = one.dup()
    assert other.gettimeout() == 3
    one.close()
    two.sendall(b"x")
    assert other.recv(1) == b"x"
    other.close()


def test_green_socket_of_a_real_one_takes_its_timeout():
    with standard.socket() as real:
        real.settimeout(7)
        assert greenio.GreenSocket(real).gettimeout() == 7


def test_green_socket_of_a_number_finds_out_its_family():
    one, two = standard.socketpair()
    green = socket.socket(fileno=one.detach())
    assert green.family == socket.AF_UNIX
    green.close()
    two.close()


def test_ancillary_data_arrives(pair, pipe):
    """Descriptors can be sent between green sockets."""
    one, two = pair
    sent = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, struct.pack("i", pipe[0]))]
    reader = eventlet.spawn(two.recvmsg, 5, socket.CMSG_SPACE(4))
    eventlet.sleep(0)
    one.sendmsg([b"he", b"llo"], sent)
    data, ancillary, _flags, _address = reader.wait()
    assert data == b"hello"
    (received,) = struct.unpack("i", ancillary[0][2])
    os.close(received)


def test_sendfile_sends_the_rest_of_a_file(pair):
    one, two = pair
    content = os.urandom(1_000_000)
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        sender = eventlet.spawn(one.sendfile, file, 10)
        received = b""
        while len(received) < len(content) - 10:
            received += two.recv(65536)
        assert sender.wait() == len(content) - 10
        assert file.tell() == len(content)
    assert received == content[10:]


def test_connect_resolves_names_and_reports_refusal(listener):
    port = listener.getsockname()[1]
    client = socket.socket()
    client.connect(("localhost", port))
    assert client.getpeername()[1] == port
    client.close()
    listener.close()
    with socket.socket() as client:
        assert client.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(("127.0.0.1", port))


def test_connect_waits_for_a_full_local_backlog(tmp_path):
    """The system tells nobody when a local listener has room again."""
    path = str(tmp_path / "socket")
    server = eventlet.listen(path, family=socket.AF_UNIX, backlog=0)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(4)]
    threads = [eventlet.spawn(client.connect, path) for client in clients]
    eventlet.sleep(0)
    accepted = [server.accept()[0] for _ in clients]
    for thread in threads:
        thread.wait()
    for sock in (*clients, *accepted, server):
        sock.close()


def test_create_connection_tries_all_addresses(listener):
    """The error of the last attempt counts if none succeeds."""
    address = listener.getsockname()
    with socket.create_connection(address, timeout=5) as client:
        assert client.gettimeout() == 5
    listener.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_socket_cannot_be_pickled(pair):
    with pytest.raises(TypeError, match="pickle"):
        pickle.dumps(pair[0])


def test_representation_tells_what_the_real_socket_tells(pair):
    assert f"fd={pair[0].fileno()}" in repr(pair[0])


def test_shutdown_safe_takes_any_state(pair):
    greenio.shutdown_safe(pair[0])
    pair[0].close()
    greenio.shutdown_safe(pair[0])
    with socket.socket() as never_connected:
        greenio.shutdown_safe(never_connected)


# Pipes and files


def test_pipe_read_lets_other_green_threads_run(pipe):
    reading = greenio.GreenPipe(pipe[0], "rb")
    writing = greenio.GreenPipe(pipe[1], "wb")

    def write():
        writing.write(b"line\n")
        writing.flush()

    log = in_order(reading.readline, write)
    assert log == [(0, "starts"), (1, "starts"), (1, None), (0, b"line\n")]
    reading.close()
    writing.close()


def test_two_green_threads_can_write_to_one_file(pipe):
    """The second waits while the first has to, and neither gets an error."""
    reading = greenio.GreenPipe(pipe[0], "rb")
    writing = greenio.GreenPipe(pipe[1], "wb")
    size = 300_000
    threads = [eventlet.spawn(writing.write, c * size) for c in (b"a", b"b")]

    def close():
        for thread in threads:
            thread.wait()
        writing.close()

    eventlet.spawn(close)
    data = reading.read()
    assert sorted({data.count(b"a"), data.count(b"b")}) == [size]
    reading.close()


def test_closing_a_pipe_wakes_its_reader(pipe):
    reading = greenio.GreenPipe(pipe[0], "rb", 0)
    log = in_order(lambda: reading.read(1), reading.close)
    assert log[3][2] == errno.EBADF


def test_pipe_takes_over_a_file_object(pipe):
    with os.fdopen(pipe[0], "rb") as file:
        green = greenio.GreenPipe(file, "rb")
        assert file.closed
    os.write(pipe[1], b"x")
    assert green.read(1) == b"x"
    green.close()


def test_text_pipe_translates_and_decodes(pipe):
    with greenio.GreenPipe(pipe[1], "w", encoding="utf-8") as writing:
        writing.write("grün\n")
    with greenio.GreenPipe(pipe[0], "r", encoding="utf-8") as reading:
        assert reading.readlines() == ["grün\n"]


def test_os_read_of_a_blocking_descriptor_does_not_block(pipe):
    """Its mode is left alone: other processes may share the open file."""
    assert os.get_blocking(pipe[0])
    log = in_order(
        lambda: green_os.read(pipe[0], 5), lambda: green_os.write(pipe[1], b"hello")
    )
    assert log == [(0, "starts"), (1, "starts"), (1, 5), (0, b"hello")]
    assert os.get_blocking(pipe[0])


def test_os_write_of_a_blocking_pipe_writes_everything(pipe):
    size = 500_000

    def read():
        left = size
        while left:
            left -= len(green_os.read(pipe[0], left))
        return left

    log = in_order(lambda: green_os.write(pipe[1], b"x" * size), read)
    assert log[:2] == [(0, "starts"), (1, "starts")]
    assert sorted(log[2:]) == [(0, size), (1, 0)]


def test_os_waitpid_lets_other_green_threads_run():
    reading, writing = os.pipe()
    program = "import sys; sys.stdin.read(); sys.exit(3)"
    child = subprocess.Popen([sys.executable, "-c", program], stdin=reading)
    os.close(reading)
    log = in_order(
        lambda: os.waitstatus_to_exitcode(green_os.waitpid(child.pid, 0)[1]),
        lambda: os.close(writing),
    )
    assert log == [(0, "starts"), (1, "starts"), (1, None), (0, 3)]
    child.returncode = 3


# select


def test_select_reports_each_kind_of_readiness(pair):
    one, two = pair
    two.send(b"x")
    assert select.select([one, two], [one], [one], 0) == ([one], [one], [])


def test_select_wakes_when_data_arrives(pair):
    one, two = pair
    log = in_order(
        lambda: select.select([one], [], [])[0] == [one], lambda: two.send(b"x")
    )
    assert log == [(0, "starts"), (1, "starts"), (1, 1), (0, True)]


def test_select_reports_urgent_data_as_exceptional(listener):
    """Ordinary data that arrives first does not end the wait."""
    client = eventlet.connect(listener.getsockname())
    server, _address = listener.accept()

    def send():
        client.send(b"ordinary")
        eventlet.sleep(0)
        client.send(b"!", socket.MSG_OOB)

    log = in_order(lambda: select.select([], [], [server], 5)[2] == [server], send)
    assert (0, True) in log
    client.close()
    server.close()


def test_select_does_not_keep_others_from_reading(pair):
    """It takes nothing away, so it is no second reader."""
    one, two = pair
    log = in_order(
        lambda: select.select([one], [], [])[0] == [one],
        lambda: one.recv(1),
        lambda: select.select([one], [one], [])[1] == [one],
        lambda: two.send(b"xy"),
    )
    assert {entry for entry in log if entry[1] != "starts"} == {
        (0, True),
        (1, b"x"),
        (2, True),
        (3, 2),
    }
    assert hubs.get_hub().secondaries == {
        hub_module.READ: {},
        hub_module.WRITE: {},
    }


def test_select_times_out_with_empty_lists(pair):
    assert select.select([pair[0]], [], [], 0.01) == ([], [], [])
    assert hubs.get_hub().get_readers() == []


def test_select_with_zero_timeout_lets_others_run(pair):
    """A loop that polls must come to an end through somebody else."""
    one, two = pair
    eventlet.spawn(two.send, b"x")
    polls = 0
    while not select.select([one], [], [], 0)[0]:
        polls += 1
        assert polls < 100


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(([-1], [], []), ValueError, id="negative descriptor"),
        pytest.param((["x"], [], []), TypeError, id="no descriptor"),
        pytest.param(([], [], [], "x"), TypeError, id="no time"),
        pytest.param(([], [], [], -1), ValueError, id="negative time"),
    ],
)
def test_select_refuses_bad_arguments(arguments, error):
    with pytest.raises(error):
        select.select(*arguments)


def test_select_refuses_a_descriptor_that_is_not_open(pipe):
    os.close(pipe[0])
    with pytest.raises(OSError, match="not open"):
        select.select([pipe[0]], [], [])


def test_select_ends_when_a_descriptor_is_closed(pair):
    one, _two = pair
    log = in_order(lambda: select.select([one], [], []), one.close)
    assert issubclass(log[3][1], OSError)


# subprocess


def test_communicate_lets_other_green_threads_run():
    ticks = []

    def tick():
        while True:
            ticks.append(1)
            eventlet.sleep(0)

    ticker = eventlet.spawn(tick)
    program = "import sys; sys.stdout.write(sys.stdin.read().upper())"
    child = green_subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=green_subprocess.PIPE,
        stdout=green_subprocess.PIPE,
        text=True,
    )
    assert child.communicate("x" * 200_000)[0] == "X" * 200_000
    ticker.kill()
    assert len(ticks) > 1


def test_pipe_of_one_child_can_be_given_to_another():
    """The second gets a descriptor in the mode it expects, and the first is waited for."""
    slow = "import sys; sys.stdin.read(); print('done')"
    first = green_subprocess.Popen(
        [sys.executable, "-c", slow],
        stdin=green_subprocess.PIPE,
        stdout=green_subprocess.PIPE,
    )
    second = green_subprocess.Popen(
        [sys.executable, "-c", "import sys; print(sys.stdin.read().upper())"],
        stdin=first.stdout,
        stdout=green_subprocess.PIPE,
    )
    first.stdout.close()
    reader = eventlet.spawn(second.communicate)
    eventlet.sleep(0)
    first.stdin.close()
    assert reader.wait()[0].split() == [b"DONE"]
    assert first.wait() == 0


def test_pipe_that_is_shared_with_a_child_is_still_green(pipe):
    reading = greenio.GreenPipe(pipe[0], "rb", 0)
    writing = greenio.GreenPipe(pipe[1], "wb", 0)
    program = "import sys; sys.exit(0)"
    green_subprocess.run(
        [sys.executable, "-c", program], stdin=reading, stdout=writing, check=True
    )
    assert os.get_blocking(pipe[0])
    log = in_order(lambda: reading.read(5), lambda: writing.write(b"hello"))
    assert log == [(0, "starts"), (1, "starts"), (1, 5), (0, b"hello")]
    assert writing.write(b"x" * 1_000_000) < 1_000_000
    reading.close()
    writing.close()


def test_wait_for_a_child_times_out():
    program = "import sys; sys.stdin.read()"
    child = green_subprocess.Popen(
        [sys.executable, "-c", program], stdin=green_subprocess.PIPE
    )
    with pytest.raises(subprocess.TimeoutExpired):
        child.wait(timeout=0.01)
    child.stdin.close()
    assert child.wait(timeout=30) == 0


def test_run_raises_the_standard_exceptions():
    with pytest.raises(subprocess.CalledProcessError):
        green_subprocess.run([sys.executable, "-c", "exit(1)"], check=True)


def test_methods_of_one_socket_can_be_replaced(pair):
    """Whatever answers them otherwise, this socket or the real one."""
    pair[0].getsockname = lambda: "mine"
    pair[0].recv = lambda size: b"x" * size
    assert pair[0].getsockname() == "mine"
    assert pair[0].recv(2) == b"xx"
    assert pair[1].getsockname() == ""


class ActsAsSocket:
    """Something that has a socket and offers its methods, as servers' listeners do."""

    def __init__(self, sock):
        self.sock = sock

    def __getattr__(self, name):
        return getattr(self.sock, name)


def test_green_socket_of_what_acts_as_one():
    """What offers a socket's methods can be made green, and accepts, and is dupped."""
    with standard.create_server(("127.0.0.1", 0)) as server:
        green = greenio.GreenSocket(ActsAsSocket(server))
        client = eventlet.spawn(eventlet.connect, green.getsockname())
        accepted, address = green.accept()
        assert address == client.wait().getsockname()
        client.wait().sendall(b"x")
        assert accepted.recv(1) == b"x"
        copy = green.dup()
        assert copy.getsockname() == green.getsockname()
        for sock in (accepted, copy, client.wait()):
            sock.close()
