"""Waits for children and reads of files on threads of the engine."""

from __future__ import annotations

import errno
import os

import pytest

PRELUDE = """
import os, time, warnings
# What CPython 3.12 and later say of a fork beside threads is no news here.
warnings.filterwarnings("ignore", "This process .* is multi-threaded")
import eventlet
"""


@pytest.fixture
def run_green(run_isolated):
    """Run a program that waits for children; return the last line that it prints."""

    def run(program):
        done = run_isolated(PRELUDE + program, {"EVENTLET_HUB": "asyncio"})
        assert done.stderr == ""
        return done.stdout.rpartition("\n")[0].rpartition("\n")[2]

    return run


def test_wait_for_any_child_lets_others_run(run_green):
    """os.wait() of green code takes a thread, not the process."""
    assert (
        run_green("""
from eventlet.green import os as green_os

inside, outside = os.pipe()
child = os.fork()
if not child:
    os.read(inside, 1)
    os._exit(3)
green = eventlet.spawn(green_os.waitpid, -1, 0)
ticks = 0
while ticks < 10:
    eventlet.sleep(0.001)
    ticks += 1
assert not green.dead
os.write(outside, b".")
pid, status = green.wait()
assert (pid, os.waitstatus_to_exitcode(status)) == (child, 3)
try:
    green_os.wait()
except ChildProcessError:
    print("pass")
""")
        == "pass"
    )


def test_killed_wait_for_a_child_reaps_nothing(run_green):
    """The child's status is still there for who asks next; many such waits are fine."""
    assert (
        run_green("""
from eventlet.green import os as green_os

inside, outside = os.pipe()
child = os.fork()
if not child:
    os.read(inside, 1)
    os._exit(3)
greens = [eventlet.spawn(green_os.wait) for _ in range(20)]
eventlet.sleep(0.01)
for green in greens:
    green.kill()
os.write(outside, b".")
pid, status = green_os.wait()
assert (pid, os.waitstatus_to_exitcode(status)) == (child, 3)
print("pass")
""")
        == "pass"
    )


def test_stopped_child_is_told_of(run_green):
    """Options of os.waitpid hold in a thread as well."""
    assert (
        run_green("""
import signal
from eventlet.green import os as green_os

child = os.fork()
if not child:
    while True:
        time.sleep(60)
green = eventlet.spawn(green_os.waitpid, child, os.WUNTRACED)
eventlet.sleep(0)
os.kill(child, signal.SIGSTOP)
pid, status = green.wait()
assert pid == child and os.WIFSTOPPED(status)
os.kill(child, signal.SIGKILL)
assert green_os.waitpid(child, 0) == (child, signal.SIGKILL)
print("pass")
""")
        == "pass"
    )


@pytest.fixture
def cold_file(tmp_path):
    """Return a file of some pages, and how to put it out of memory."""
    path = tmp_path / "cold"
    path.write_bytes(os.urandom(1 << 20))

    def evict():
        fd = os.open(path, os.O_RDONLY)
        try:
            os.fsync(fd)
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(fd)

    return path, evict


@pytest.mark.parametrize("size", [1, 4096, 100_000, 1 << 20, 2 << 20])
def test_file_is_read_whole_in_memory_or_not(cold_file, size):
    """A file gives all it has at once, wherever it is."""
    from eventlet.green import os as green_os

    path, evict = cold_file
    content = path.read_bytes()
    for _ in range(2):
        evict()
        fd = os.open(path, os.O_RDONLY)
        try:
            found = []
            while data := green_os.read(fd, size):
                found.append(data)
                assert os.lseek(fd, 0, os.SEEK_CUR) == sum(map(len, found))
                if len(found) == 64:
                    break
        finally:
            os.close(fd)
        assert b"".join(found) == content[: 64 * size]
        assert {len(data) for data in found[:-1]} <= {size}
        size = max(size, 4096)


def test_read_of_other_descriptors_waits_for_what_comes():
    """Pipes and sockets, blocking or not, wait for data and give what is there."""
    import socket

    import eventlet
    from eventlet.green import os as green_os

    pipe = os.pipe()
    quiet = os.pipe2(os.O_NONBLOCK)
    pair = socket.socketpair()
    ends = [pipe, quiet, (pair[0].fileno(), pair[1].fileno())]
    for inside, outside in ends:
        green = eventlet.spawn(green_os.read, inside, 100)
        eventlet.sleep(0)
        assert not green.dead
        os.write(outside, b"some")
        assert green.wait() == b"some"
    for end in (*pipe, *quiet):
        os.close(end)
    for one in pair:
        one.close()


def test_read_refuses_what_the_system_refuses(tmp_path):
    """Errors are those of os.read."""
    from eventlet.green import os as green_os

    with pytest.raises(OSError, match="Bad file descriptor") as failed:
        green_os.read(99_999, 1)
    assert failed.value.errno == errno.EBADF
    with pytest.raises(IsADirectoryError) as failed:
        fd = os.open(tmp_path, os.O_RDONLY)
        try:
            green_os.read(fd, 1)
        finally:
            os.close(fd)
    assert failed.value.errno == errno.EISDIR
    with pytest.raises(OSError, match="Invalid argument"):
        green_os.read(0, -1)
