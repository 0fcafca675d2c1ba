"""
Green files: pipes, terminals and whatever else a descriptor stands for.

The raw layer is the interpreter's own `FileIO`, with reads and writes that park instead
of blocking. Text is the interpreter's own as well, and so are the buffers of what is only
read or only written (`_buffers`). The one that does both is the pure Python one of the
standard library in a copy of its own: the C one holds a lock of its OS thread while it
calls the raw layer, and would refuse the next green thread that touches the file.
"""

from __future__ import annotations

import errno
import importlib
import io as _io
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from eventlet import hubs
from eventlet._patch.copies import fresh_module
from eventlet._patch.originals import original
from eventlet.greenio.base import SOCKET_BLOCKING, pay_operation

if TYPE_CHECKING:
    from types import ModuleType

_os = original("os")
_thread = original("_thread")
_select = original("select")

__all__ = ["GreenFileIO", "GreenPipe"]

_fileobject = original("socket").SocketIO


class GreenFileIO(_io.FileIO):
    """
    A raw file in non-blocking mode that parks the green thread instead of failing.

    Args:
        file: A path, a descriptor, or an object with `fileno()`, which is kept.
        mode: As for `io.FileIO`.
        closefd: Whether closing the file closes the descriptor.
        opener: As for `io.FileIO`.
    """

    _shared = False

    def __init__(
        self,
        file: Any,
        mode: str = "r",
        closefd: bool = True,
        opener: Any = None,
    ) -> None:
        super().__init__(file, mode, closefd, opener)
        # What buffers see in its place, and ask whether it is closed.
        self.layers: list[Any] = []
        fd = self.fileno()
        hubs.notify_opened(fd)
        _os.set_blocking(fd, False)

    def _wait(self, *, write: bool = False) -> None:
        hubs.trampoline(self.fileno(), read=not write, write=write)

    def share(self) -> None:
        """
        Put the descriptor back into blocking mode, since others use the file as well.

        The mode belongs to the open file: a child that is given the descriptor would
        get errors it does not expect. From now on readiness is asked for first.
        """
        _os.set_blocking(self.fileno(), True)
        self._shared = True

    def _await_shared(self) -> None:
        poll = _select.poll()
        poll.register(self.fileno(), _select.POLLIN)
        while not poll.poll(0):
            self._wait()

    def read_what_is_there(self, buffer: Any) -> int | None:
        """
        Read into `buffer` without waiting; None if there is nothing yet.
        """
        if self._shared:
            poll = _select.poll()
            poll.register(self.fileno(), _select.POLLIN)
            if not poll.poll(0):
                return None
        return super().readinto(buffer)

    def readinto(self, buffer: Any) -> int:
        """
        Read into `buffer` and return the number of bytes, 0 at the end. Switch point.
        """
        pay_operation()
        while True:
            if self._shared:
                self._await_shared()
            count = super().readinto(buffer)
            if count is not None:
                return count
            self._wait()

    def read(self, size: int | None = -1) -> bytes:
        """
        Return up to `size` bytes, everything until the end if negative. Switch point.
        """
        if size is None or size < 0:
            return self.readall()
        pay_operation()
        while True:
            if self._shared:
                self._await_shared()
            data = super().read(size)
            if data is not None:
                return data
            self._wait()

    def readall(self) -> bytes:
        """
        Return everything until the end. Switch point.
        """
        chunks: list[bytes] = []
        while True:
            data = self.read(_io.DEFAULT_BUFFER_SIZE)
            if not data:
                return b"".join(chunks)
            chunks.append(data)

    def write(self, data: Any) -> int:
        """
        Write some of `data` and return how many bytes were taken. Switch point.
        """
        pay_operation()
        while True:
            count = self.write_what_fits(data)
            if count is not None:
                return count
            self._wait(write=True)

    def write_what_fits(self, data: Any) -> int | None:
        """
        Write some of `data` without waiting; None if there is no room.
        """
        if self._shared:
            poll = _select.poll()
            poll.register(self.fileno(), _select.POLLOUT)
            if not poll.poll(0):
                return None
            # More than the system calls a pipe writable for would block.
            data = memoryview(data).cast("B")[: _select.PIPE_BUF]
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in SOCKET_BLOCKING:
                raise
            return None

    def truncate(self, size: int | None = None) -> int:
        """
        Cut the file to `size` bytes, by default at the position, and return the size.

        A position beyond the new end moves there.
        """
        size = super().truncate(size)
        if self.tell() > size:
            self.seek(size)
        return size

    def close(self) -> None:
        """
        Close the file; whoever waits on it gets an error at once.
        """
        if not self.closed and self.closefd:
            hubs.notify_close(self.fileno())
        try:
            super().close()
        finally:
            for layer in filter(None, (shown() for shown in self.layers)):
                layer.closed = self.closed


# The copy that is complete, and what OS threads wait for that need it at the same time.
# Nothing under the lock is a switch point.
_layers: Any = None
_layers_lock = _thread.allocate_lock()
_os.register_at_fork(after_in_child=_layers_lock._at_fork_reinit)


def _green_layers() -> Any:
    """
    Return the copy of the pure Python `io`, with green locks, raw files and readers.
    """
    global _layers  # noqa: PLW0603 - one copy for the process
    _pyio = importlib.import_module("_pyio")

    from eventlet.green import thread
    from eventlet.greenio._buffers import GreenBufferedReader, GreenBufferedWriter

    def resolve(name: str) -> ModuleType | None:
        return thread if name == "_thread" else None

    with _layers_lock:
        if _layers is None:
            layers: Any = fresh_module("__green_module__pyio", _pyio, resolve)
            layers.FileIO = GreenFileIO
            layers.BufferedReader = GreenBufferedReader
            layers.BufferedWriter = GreenBufferedWriter
            layers.TextIOWrapper = _io.TextIOWrapper
            _layers = layers
    return _layers


def GreenPipe(
    name: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    closefd: bool = True,
    opener: Any = None,
) -> Any:
    """
    Open a file whose reads and writes let other green threads run.

    Takes what `open` takes, and file objects: those are emptied of their descriptor,
    which the new file owns from then on. The descriptor is put into non-blocking mode.

    Returns:
        A raw, buffered or text file, by `mode` and `buffering`, as from `open`.
    """
    layers = _layers or _green_layers()
    if hasattr(name, "fileno") and not isinstance(name, (int, str, bytes)):
        name = _taken_over(name)
    return layers.open(
        name, mode, buffering, encoding, errors, newline, closefd, opener
    )


def raw_of(file: Any) -> GreenFileIO | None:
    """
    Return the raw file at the bottom of `file`, None if it is no green one.
    """
    while file is not None and not isinstance(file, GreenFileIO):
        inner = getattr(file, "buffer", None)
        file = getattr(file, "raw", None) if inner is None else inner
    return file


def _taken_over(file: Any) -> int:
    with suppress(AttributeError, OSError, ValueError):
        file.flush()
    fd = _os.dup(file.fileno())
    try:
        file.close()
    except OSError as error:
        if error.errno != errno.EBADF:
            raise
    return fd


_open = GreenPipe
