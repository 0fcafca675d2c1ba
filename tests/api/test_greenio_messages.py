"""Promises of green sockets about datagrams, messages, files and ends of connections."""

from __future__ import annotations

import errno
import io
import os
import socket as standard
import tempfile

import pytest

import eventlet
from eventlet import greenio
from eventlet.green import socket


@pytest.fixture
def datagrams():
    """Give two green datagram sockets, bound on loopback."""
    made = []
    for _ in range(2):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        made.append(sock)
    yield made
    for sock in made:
        sock.close()


def full(sock):
    """Send until nothing more fits; return how much that was."""
    total = 0
    sock.setblocking(False)
    try:
        while True:
            total += sock.send(b"x" * 65536)
    except BlockingIOError:
        return total
    finally:
        sock.setblocking(True)


# Datagrams and messages


def into(receive):
    buffer = bytearray(10)
    size, address = receive(buffer)
    return bytes(buffer[:size]), address


def scattered(sock):
    first, second = bytearray(2), bytearray(8)
    size, _ancillary, _flags, address = sock.recvmsg_into([first, second])
    return bytes(first + second)[:size], address


def message(sock):
    data, _ancillary, _flags, address = sock.recvmsg(10)
    return data, address


RECEIVES = {
    "recvfrom": lambda sock: sock.recvfrom(10),
    "recvfrom_into": lambda sock: into(sock.recvfrom_into),
    "recvmsg": message,
    "recvmsg_into": scattered,
    "recv": lambda sock: (sock.recv(10), None),
    "recv_into": lambda sock: into(lambda buffer: (sock.recv_into(buffer), None)),
}
# These tell nothing of the sender.
NAMELESS = ("recv", "recv_into")
SENDS = {
    "sendto": lambda sock, address: sock.sendto(b"hello", address),
    "sendto with flags": lambda sock, address: sock.sendto(b"hello", 0, address),
    "sendmsg": lambda sock, address: sock.sendmsg([b"he", b"llo"], [], 0, address),
}


@pytest.mark.parametrize("receive", RECEIVES)
@pytest.mark.parametrize("send", SENDS)
def test_datagram_is_waited_for_and_arrives_with_its_sender(
    datagrams, in_order, send, receive
):
    one, two = datagrams
    log = in_order(
        lambda: RECEIVES[receive](one), lambda: SENDS[send](two, one.getsockname())
    )
    assert log[:3] == [(0, "starts"), (1, "starts"), (1, 5)]
    data, address = log[3][1]
    assert data == b"hello"
    assert address == (None if receive in NAMELESS else two.getsockname())


WHOLE = {
    "recv": lambda sock: sock.recv(6, socket.MSG_WAITALL),
    "recv_into": lambda sock: into_six(sock, 0),
    "recv_into a number": lambda sock: into_six(sock, 6),
}


def into_six(sock, number):
    buffer = bytearray(6 if number == 0 else 10)
    size = sock.recv_into(buffer, number, socket.MSG_WAITALL)
    return bytes(buffer[:size])


@pytest.mark.parametrize("receive", WHOLE)
def test_reading_of_all_waits_until_all_is_there(pair, receive):
    one, two = pair
    reading = eventlet.spawn(WHOLE[receive], one)
    for part in (b"one", b"two and more"):
        eventlet.sleep(0)
        assert not reading.dead
        two.sendall(part)
    assert reading.wait() == b"onetwo"
    assert one.recv(100) == b" and more"


@pytest.mark.parametrize("receive", WHOLE)
def test_reading_of_all_ends_with_the_stream_or_with_a_limit(pair, receive):
    """As the standard socket, one with a timeout gives what has come at once."""
    one, two = pair
    one.settimeout(0.02)
    with pytest.raises(TimeoutError):
        WHOLE[receive](one)
    two.sendall(b"abc")
    one.settimeout(20)
    assert WHOLE[receive](one) == b"abc"
    one.settimeout(None)
    two.sendall(b"def")
    two.close()
    assert WHOLE[receive](one) == b"def"
    assert WHOLE[receive](one) == b""


@pytest.mark.parametrize("buffer", [b"xx", "text", 5])
def test_buffers_that_cannot_be_written_are_type_errors(pair, buffer):
    """They are found before anything is read."""
    pair[1].sendall(b"x")
    for flags in (0, socket.MSG_WAITALL):
        with pytest.raises(TypeError):
            pair[0].recv_into(buffer, 1, flags)
    assert pair[0].recv(5) == b"x"


def test_sendmsg_waits_for_room(pair, in_order):
    one, two = pair
    size = full(one)

    def drain():
        left = size
        while left:
            left -= len(two.recv(left))
        return two.recv(4)

    log = in_order(lambda: one.sendmsg([b"mo", b"re"]), drain)
    assert log[:2] == [(0, "starts"), (1, "starts")]
    assert sorted(log[2:]) == [(0, 4), (1, b"more")]


WRITES = {
    "send": lambda sock: sock.send(b"x"),
    "sendall": lambda sock: sock.sendall(b"x"),
    "sendmsg": lambda sock: sock.sendmsg([b"x"]),
}


@pytest.mark.parametrize("write", WRITES)
def test_writes_time_out_as_the_standard_ones_do(pair, write):
    one, _two = pair
    full(one)
    one.settimeout(0.01)
    with pytest.raises(TimeoutError) as late:
        WRITES[write](one)
    assert late.value.args == ("timed out",)


@pytest.mark.parametrize("write", WRITES)
def test_close_wakes_each_kind_of_writer(pair, in_order, write):
    one, _two = pair
    full(one)
    log = in_order(lambda: WRITES[write](one), one.close)
    assert log[-1][2] == errno.EBADF


@pytest.mark.parametrize("write", WRITES)
def test_shutdown_wakes_writers_with_a_broken_pipe(pair, in_order, write):
    one, _two = pair
    full(one)
    log = in_order(lambda: WRITES[write](one), lambda: one.shutdown(socket.SHUT_WR))
    assert log[-1] == (0, BrokenPipeError, errno.EPIPE)


def test_shutdown_of_the_peer_ends_reads_and_leaves_the_other_direction(pair):
    one, two = pair
    reading = eventlet.spawn(one.recv, 1)
    eventlet.sleep(0)
    two.shutdown(socket.SHUT_WR)
    assert reading.wait() == b""
    one.sendall(b"still")
    assert two.recv(5) == b"still"


def test_shutdown_wakes_who_accepts(listener, in_order):
    """The system calls the listener ready then, and no connection is to be had."""
    log = in_order(listener.accept, lambda: listener.shutdown(socket.SHUT_RDWR))
    assert log[-1] == (0, OSError, errno.EINVAL)


def test_accept_and_connect_time_out(listener, tmp_path):
    listener.settimeout(0.01)
    with pytest.raises(TimeoutError) as late:
        listener.accept()
    assert late.value.args == ("timed out",)
    path = str(tmp_path / "socket")
    server = eventlet.listen(path, family=socket.AF_UNIX, backlog=0)
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for client in clients:
        client.settimeout(0.02)
    first, *others = [client.connect_ex(path) for client in clients]
    assert first == 0
    assert others[-1] == errno.EAGAIN
    with socket.socket(socket.AF_UNIX) as late_one:
        late_one.settimeout(0.02)
        with pytest.raises(TimeoutError):
            late_one.connect(path)
    for sock in (*clients, server):
        sock.close()


def test_number_of_a_socket_closed_elsewhere_serves_the_next_owner(pair):
    """Closed behind the hub's back: the new socket of that number hears of its data."""
    one, _two = pair
    number = one.fileno()
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        one.recv(1)
    new, peer = standard.socketpair()
    with new, peer:
        os.dup2(new.fileno(), number)
        peer.send(b"new")
        assert one.recv(3) == b"new"


@pytest.mark.parametrize("call", ["recv", "recv_into", "send", "sendall"])
def test_socket_closed_when_it_was_ready_never_touches_the_next_owner(pair, call):
    """
    Its waiter was told to go on, and had no turn before the number was another socket's.

    Not a byte may go there or come from there.
    """
    one, two = pair
    number, new = one.fileno(), []
    if call.startswith("recv"):
        argument = 100 if call == "recv" else bytearray(100)
    else:
        size = full(one)
        argument = b"stray" * 1000
    hub = eventlet.hubs.get_hub()
    waiting = eventlet.spawn(getattr(one, call), argument)
    eventlet.sleep(0)

    def exchange(_fd=None):
        # Called by the poll that finds both ready, this one first, since it was first.
        hub.remove(listener)
        one.close()
        new.extend(socket.socketpair())
        assert number in (sock.fileno() for sock in new)
        for sock, content in zip(new, (b"first", b"second"), strict=True):
            sock.send(content)

    early, told = socket.socketpair()
    listener = hub.add(hub.READ, early.fileno(), exchange, exchange)
    told.send(b"x")
    if call.startswith("recv"):
        two.send(b"old")
    else:
        while size:
            size -= len(two.recv(size))
    with pytest.raises(OSError, match="descriptor") as failed:
        waiting.wait()
    assert failed.value.errno == errno.EBADF
    assert [sock.recv(100) for sock in new] == [b"second", b"first"]
    for sock in (*new, early, told):
        sock.close()


def test_two_duplicates_wait_each_for_itself(pair):
    """Closing one wakes nobody who waits on the other."""
    one, two = pair
    copy = one.dup()
    reading = eventlet.spawn(copy.recv, 5)
    eventlet.sleep(0)
    one.close()
    eventlet.sleep(0)
    assert not reading.dead
    two.sendall(b"hello")
    assert reading.wait() == b"hello"
    copy.close()


# Files


@pytest.mark.parametrize("buffering", [None, 0])
def test_file_of_a_socket_reads_and_writes_at_the_same_time(pair, buffering):
    options = {} if buffering is None else {"buffering": buffering}
    one, two = (sock.makefile("rwb", **options) for sock in pair)
    reading = eventlet.spawn(one.readline)
    eventlet.sleep(0)
    two.write(b"line\n")
    two.flush()
    assert reading.wait() == b"line\n"
    one.write(b"back\n")
    one.flush()
    assert two.readline() == b"back\n"
    one.close()
    two.close()


def test_text_file_of_a_socket_translates(pair):
    with pair[0].makefile("w", encoding="utf-8") as writing:
        writing.write("grün\n")
    with pair[1].makefile("r", encoding="utf-8") as reading:
        assert reading.readline() == "grün\n"


def test_file_of_a_socket_times_out_and_refuses_further_reads(pair):
    """As the standard one: what was read before the timeout may be lost."""
    pair[0].settimeout(0.01)
    reading = pair[0].makefile("rb")
    with pytest.raises(TimeoutError):
        reading.read(1)
    with pytest.raises(OSError, match="timed out"):
        reading.read(1)
    reading.close()


def test_sendfile_sends_the_part_asked_for(pair):
    one, two = pair
    with tempfile.TemporaryFile() as file:
        file.write(b"0123456789")
        file.flush()
        assert one.sendfile(file, 2, 5) == 5
        assert file.tell() == 7
        assert one.sendfile(file, 8, 100) == 2
    assert two.recv(100) == b"2345689"


def test_sendfile_of_what_is_no_file_is_read_and_sent(pair):
    one, two = pair
    assert one.sendfile(io.BytesIO(b"content"), 3) == 4
    assert two.recv(10) == b"tent"


def test_sendfile_times_out_with_the_position_of_what_was_sent(pair):
    one, two = pair
    one.settimeout(0.02)
    with tempfile.TemporaryFile() as file:
        file.truncate(10_000_000)
        with pytest.raises(TimeoutError):
            one.sendfile(file)
        position = file.tell()
    one.close()
    got = 0
    while chunk := two.recv(65536):
        got += len(chunk)
    assert 0 < got == position


@pytest.mark.parametrize(
    ("arguments", "error"),
    [((-1,), OSError), ((0, 0), ValueError), ((0, "x"), TypeError)],
)
def test_sendfile_refuses_arguments_that_make_no_sense(pair, arguments, error):
    with tempfile.TemporaryFile() as file:
        file.write(b"content")
        file.flush()
        with pytest.raises(error):
            pair[0].sendfile(file, *arguments)


def test_sendfile_refuses_text_and_sockets_that_never_wait(pair, tmp_path):
    path = tmp_path / "file"
    path.write_text("text")
    with path.open() as text, pytest.raises(ValueError, match="binary"):
        pair[0].sendfile(text)
    pair[0].setblocking(False)
    with path.open("rb") as file, pytest.raises(ValueError, match="non-blocking"):
        pair[0].sendfile(file)


# Modes


def test_set_nonblocking_takes_whatever_has_a_descriptor(pipe):
    with os.fdopen(os.dup(pipe[0]), "rb") as file:
        greenio.set_nonblocking(file)
        assert not os.get_blocking(pipe[0])
    with standard.socket() as real:
        greenio.set_nonblocking(real)
        assert real.gettimeout() == 0
    with pytest.raises(AttributeError):
        greenio.set_nonblocking(object())


def test_every_method_of_a_socket_is_offered(pair):
    """Whatever this Python's socket has, a green one has, by the same name."""
    public = {name for name in dir(standard.socket) if not name.startswith("_")}
    assert {name for name in public if not hasattr(pair[0], name)} == set()
    one = pair[0]
    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 5000)
    assert one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) >= 5000
    assert (one.family, one.proto) == (socket.AF_UNIX, 0)
    one.set_inheritable(True)
    assert one.get_inheritable()
    with pytest.raises(AttributeError):
        _ = one.no_such_method
