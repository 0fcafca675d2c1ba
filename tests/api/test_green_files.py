"""Promises of green pipes and files, `green.os` and `green.subprocess`."""

from __future__ import annotations

import errno
import os
import subprocess
import sys

import pytest

import eventlet
from eventlet import greenio
from eventlet.green import os as green_os
from eventlet.green import subprocess as green_subprocess

# Pipes and files


def test_pipe_read_lets_other_green_threads_run(pipe, in_order):
    reading = greenio.GreenPipe(pipe[0], "rb")
    writing = greenio.GreenPipe(pipe[1], "wb")

    def write():
        writing.write(b"line\n")
        writing.flush()

    log = in_order(reading.readline, write)
    assert log == [(0, "starts"), (1, "starts"), (1, None), (0, b"line\n")]
    reading.close()
    writing.close()


def _sent_in_pieces(fd, data, size):
    for start in range(0, len(data), size):
        os.write(fd, data[start : start + size])
        eventlet.sleep(0)
    os.close(fd)


def _into(method, size):
    def read(file):
        buffer = bytearray(size)
        count = getattr(file, method)(buffer)
        return bytes(buffer[:count])

    return read


READS = {
    "iteration": b"".join,
    "lines": lambda file: b"".join(file.readlines()),
    "line": lambda file: file.readline() + file.read(),
    "part of a line": lambda file: file.readline(3) + file.readline() + file.read(),
    "nothing of a line": lambda file: (
        file.readline(0) + file.readline(None) + file.read()
    ),
    "all": lambda file: file.read(),
    "some": lambda file: b"".join(iter(lambda: file.read(7), b"")),
    "one": lambda file: b"".join(iter(lambda: file.read1(7), b"")),
    "peek": lambda file: file.peek(1)[:0] + file.read(),
    "into": lambda file: b"".join(iter(lambda: _into("readinto", 7)(file), b"")),
    "into one": lambda file: b"".join(iter(lambda: _into("readinto1", 7)(file), b"")),
}


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
@pytest.mark.parametrize("read", READS.values(), ids=READS)
def test_what_is_read_is_the_same_however_it_arrives(pipe, read, size):
    data = b"first\n\nthird line\n" * 3 + b"no end"
    reading = greenio.GreenPipe(pipe[0], "rb")
    writer = eventlet.spawn(_sent_in_pieces, pipe[1], data, size)
    assert read(reading) == data
    assert reading.read() == reading.readline() == b""
    assert list(reading) == []
    writer.wait()
    reading.close()


@pytest.mark.parametrize("size", [1, 2, 1000])
def test_lines_of_text_are_the_same_however_they_arrive(pipe, size):
    text = "grün\r\nzwei\n\nno end"
    reading = greenio.GreenPipe(pipe[0], "r", encoding="utf-8")
    writer = eventlet.spawn(_sent_in_pieces, pipe[1], text.encode(), size)
    assert list(reading) == ["grün\n", "zwei\n", "\n", "no end"]
    writer.wait()
    reading.close()


def test_lines_have_at_most_the_size_asked_for(pipe):
    reading = greenio.GreenPipe(pipe[0], "rb")
    writer = eventlet.spawn(_sent_in_pieces, pipe[1], b"abcdefg\nhi", 2)
    assert [reading.readline(3) for _ in range(5)] == [
        b"abc",
        b"def",
        b"g\n",
        b"hi",
        b"",
    ]
    writer.wait()
    reading.close()


def test_reader_that_is_interrupted_can_go_on(pipe):
    """What arrives later is read, although a wait before it was given up."""
    reading = greenio.GreenPipe(pipe[0], "rb")
    for wait in (reading.readline, reading.read1, lambda: reading.read(5)):
        with eventlet.Timeout(0.01, False):
            wait()
    os.write(pipe[1], b"line\nand")
    assert reading.readline(2) == b"li"
    assert reading.readline() == b"ne\n"
    os.close(pipe[1])
    assert reading.read() == b"and"
    reading.close()


def test_raw_file_below_a_reader_waits_by_itself(pipe, in_order):
    reading = greenio.GreenPipe(pipe[0], "rb")
    assert isinstance(reading.raw, greenio.GreenFileIO)
    log = in_order(lambda: reading.raw.read(5), lambda: os.write(pipe[1], b"x"))
    assert log[-1] == (0, b"x")
    raw = reading.detach()
    os.write(pipe[1], b"y")
    assert raw.read(5) == b"y"
    raw.close()
    os.close(pipe[1])


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


def test_closing_a_pipe_wakes_its_reader(pipe, in_order):
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


def test_os_read_of_a_blocking_descriptor_does_not_block(pipe, in_order):
    """Its mode is left alone: other processes may share the open file."""
    assert os.get_blocking(pipe[0])
    log = in_order(
        lambda: green_os.read(pipe[0], 5), lambda: green_os.write(pipe[1], b"hello")
    )
    assert log == [(0, "starts"), (1, "starts"), (1, 5), (0, b"hello")]
    assert os.get_blocking(pipe[0])


def test_os_write_of_a_blocking_pipe_writes_everything(pipe, in_order):
    size = 500_000

    def read():
        left = size
        while left:
            left -= len(green_os.read(pipe[0], left))
        return left

    log = in_order(lambda: green_os.write(pipe[1], b"x" * size), read)
    assert log[:2] == [(0, "starts"), (1, "starts")]
    assert sorted(log[2:]) == [(0, size), (1, 0)]


def test_wrong_end_of_a_pipe_fails_at_once(pipe):
    """No event would ever end the wait for it."""
    with pytest.raises(OSError, match="Bad file") as failed:
        green_os.write(pipe[0], b"x")
    assert failed.value.errno == errno.EBADF
    with pytest.raises(OSError, match="Bad file") as failed:
        green_os.read(pipe[1], 1)
    assert failed.value.errno == errno.EBADF


def test_os_open_takes_its_arguments_by_name(tmp_path):
    """By the standard names, and by upstream's."""
    for name in ("path", "file"):
        fd = green_os.open(
            **{name: tmp_path / name}, flags=os.O_CREAT | os.O_WRONLY, mode=0o600
        )
        assert green_os.write(fd, b"x") == 1
        os.close(fd)


def test_os_waitpid_lets_other_green_threads_run(in_order):
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


def test_pipe_that_is_shared_with_a_child_is_still_green(pipe, in_order):
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
