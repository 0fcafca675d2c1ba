"""
The module `os` with reads, writes and waits for children that let others run.

Descriptors are left in the mode they are in: it belongs to the open file, which other
processes may share. On a blocking one, readiness is asked for first.
"""

from __future__ import annotations

import stat as _stat
from fcntl import F_GETFL as _F_GETFL
from fcntl import fcntl as _fcntl
from typing import Any

from eventlet import hubs
from eventlet._patch.copies import borrow as _borrow
from eventlet._patch.originals import original
from eventlet.greenio.base import pay_operation as _pay_operation
from eventlet.greenthread import sleep as _sleep
from eventlet.support._offload import await_child as _await_child
from eventlet.support._offload import read_now as _read_now

_os = original("os")
_select = original("select")

__all__ = _os.__all__
__patched__ = ["fdopen", "open", "read", "wait", "waitpid", "write"]

# The system promises room for this many bytes where it calls a pipe writable.
_PIPE_BUF = getattr(_select, "PIPE_BUF", 512)
# Waiting for children when no OS thread is free for that: first and longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.001, 0.02


def fdopen(fd: int, *args: Any, **kw: Any) -> Any:
    """
    Return a green file for the descriptor `fd`, as `os.fdopen` does.

    Raises:
        TypeError: If `fd` is no descriptor.
    """
    from eventlet.greenio.py3 import GreenPipe

    if not isinstance(fd, int):
        message = f"fd should be int, not {fd!r}"
        raise TypeError(message)
    return GreenPipe(fd, *args, **kw)


def _ready(fd: int, events: int) -> bool:
    poll = _select.poll()
    poll.register(fd, events)
    return bool(poll.poll(0))


def read(fd: int, n: int) -> bytes:
    """
    Read up to `n` bytes from the descriptor `fd`. Switch point if there are none.

    What a file has on the disk, and not in memory, is fetched by an OS thread.

    Raises:
        OSError: If reading fails, or the descriptor is closed during the wait.
    """
    if n < 0:
        return _os.read(fd, n)
    _pay_operation()
    while True:
        data = _read_now(fd, n)
        if data is NotImplemented:
            return _read_when_ready(fd, n)
        if data is not None:
            return data
        hubs.trampoline(fd, read=True)


def _read_when_ready(fd: int, n: int) -> bytes:
    while True:
        if not _os.get_blocking(fd) or _ready(fd, _select.POLLIN):
            try:
                return _os.read(fd, n)
            except BlockingIOError:
                pass
        elif _is_opened_for(fd, _os.O_WRONLY):
            return _os.read(fd, n)  # fails: nothing will ever be ready
        hubs.trampoline(fd, read=True)


def _is_opened_for(fd: int, mode: int) -> bool:
    flags: int = _fcntl(fd, _F_GETFL)
    return flags & _os.O_ACCMODE == mode


def write(fd: int, st: Any) -> int:
    """
    Write to the descriptor `fd` and return how many bytes were taken.

    A blocking pipe takes everything, a piece at a time. Switch point if it is full.

    Raises:
        OSError: If writing fails, or the descriptor is closed during the wait.
    """
    _pay_operation()
    if _os.get_blocking(fd):
        return _write_to_blocking(fd, st)
    while True:
        try:
            return _os.write(fd, st)
        except BlockingIOError:
            hubs.trampoline(fd, write=True)


def _write_to_blocking(fd: int, st: Any) -> int:
    mode = _os.fstat(fd).st_mode
    if not (_stat.S_ISFIFO(mode) or _stat.S_ISSOCK(mode)):
        _await_writable(fd)
        return _os.write(fd, st)
    if _is_opened_for(fd, _os.O_RDONLY):
        return _os.write(fd, st)  # fails: nothing will ever be ready
    data = memoryview(st).cast("B")
    total = 0
    while True:
        _pay_operation()
        _await_writable(fd)
        total += _os.write(fd, data[total : total + _PIPE_BUF])
        if total >= len(data):
            return total


def _await_writable(fd: int) -> None:
    while not _ready(fd, _select.POLLOUT):
        hubs.trampoline(fd, write=True)


def wait() -> tuple[int, int]:
    """
    Wait until any child ends; return its process ID and status. Switch point.
    """
    return waitpid(0, 0)


def waitpid(pid: int, options: int) -> tuple[int, int]:
    """
    Wait until the child `pid` ends; return its process ID and status. Switch point.

    Args:
        pid: A child, or 0 and below for groups of them as in `os.waitpid`.
        options: With `WNOHANG` the call does not wait.
    """
    if options & _os.WNOHANG:
        return _os.waitpid(pid, options)
    pause = _FIRST_PAUSE
    while True:
        found, status = _os.waitpid(pid, options | _os.WNOHANG)
        if found:
            return found, status
        if pid > 0 and not options and _await_exit(pid):
            continue
        if not _await_child(pid, options):
            _sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)


def _await_exit(pid: int) -> bool:
    """
    Park until the process `pid` ends. False if the system cannot tell.
    """
    try:
        watch = _os.pidfd_open(pid)
    except (AttributeError, OSError):
        return False
    try:
        hubs.trampoline(watch, read=True)
    finally:
        hubs.notify_close(watch)
        _os.close(watch)
    return True


def open(*args: Any, **kwargs: Any) -> int:
    """
    Open a file and return its descriptor.

    Its number may have belonged to a socket before; the hub forgets that one.

    Args:
        args: What `os.open` takes.
        kwargs: The same by name; upstream's name of the path is `file`.
    """
    if "file" in kwargs:
        kwargs["path"] = kwargs.pop("file")
    fd = _os.open(*args, **kwargs)
    hubs.notify_opened(fd)
    return fd


_borrow(globals(), "os")
