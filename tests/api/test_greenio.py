"""Promises of `eventlet.greenio`: green sockets."""

from __future__ import annotations

import errno
import gc
import os
import pickle
import socket as standard
import struct
import tempfile
import warnings
import weakref

import pytest

import eventlet
from eventlet import greenio
from eventlet.green import socket
from eventlet.patcher import original


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


def test_recv_lets_other_green_threads_run(pair, in_order):
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


def test_send_waits_for_room_and_goes_on(pair, in_order):
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


def test_both_directions_wait_at_the_same_time(pair, in_order):
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
def test_close_wakes_readers_with_an_error(pair, read, in_order):
    one, _two = pair
    log = in_order(lambda: READS[read](one), one.close)
    assert [entry[0] for entry in log[:3]] == [0, 1, 1]
    kind, number = log[3][1:]
    assert issubclass(kind, OSError)
    assert number == errno.EBADF


def test_close_wakes_writers_with_an_error(pair, in_order):
    one, _two = pair
    full(one)
    log = in_order(lambda: one.sendall(b"x"), one.close)
    assert log[3][2] == errno.EBADF


def test_close_wakes_who_accepts(listener, in_order):
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


def test_shutdown_ends_the_wait_of_a_reader(pair, in_order):
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


def test_peer_that_resets_the_connection_ends_the_stream(listener, in_order):
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
    number = dropped[0].fileno()
    with pytest.warns(ResourceWarning, match="unclosed"):
        dropped.clear()
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(number)


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
    assert [thread.wait() for thread in threads] == [None] * 4
    assert [client.getpeername() for client in clients] == [path] * 4
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
    one, two = pair
    greenio.shutdown_safe(one)
    assert two.recv(1) == b""
    one.close()
    assert greenio.shutdown_safe(one) is None
    with socket.socket() as never_connected:
        assert greenio.shutdown_safe(never_connected) is None
        assert never_connected.fileno() >= 0


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
