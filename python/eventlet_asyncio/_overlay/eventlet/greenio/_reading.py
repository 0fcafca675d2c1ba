"""
Buffered reading of green files by the interpreter's own buffer.

The C reader holds a lock of its OS thread while it asks the raw file for data: a green
thread that waited in there would have the next one refused. So the raw file never waits
for it (`_Source`), and who finds nothing waits out here.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from eventlet_asyncio._core import LineReader, RLock

if TYPE_CHECKING:
    from eventlet.greenio.py3 import GreenFileIO

_base: Any = io.BufferedReader


class _Source(io.RawIOBase):
    """What a green raw file is for the C reader: one that says that it would block."""

    def __init__(self, raw: GreenFileIO) -> None:
        self.green = raw
        # The last attempt found nothing, which is not the end.
        self.blocked = False

    def readinto(self, buffer: Any) -> int | None:
        count = self.green.read_what_is_there(buffer)
        self.blocked = count is None
        return count

    def wait(self) -> None:
        """Park until there is more. Switch point."""
        self.blocked = False
        self.green._wait()

    def readable(self) -> bool:
        return self.green.readable()

    def seekable(self) -> bool:
        return self.green.seekable()

    def writable(self) -> bool:
        return self.green.writable()

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.green.seek(offset, whence)

    def tell(self) -> int:
        return self.green.tell()

    def fileno(self) -> int:
        return self.green.fileno()

    def isatty(self) -> bool:
        return self.green.isatty()

    def flush(self) -> None:
        self.green.flush()

    def close(self) -> None:
        self.green.close()

    @property
    def closed(self) -> bool:
        return self.green.closed

    @property
    def name(self) -> Any:
        return self.green.name

    @property
    def mode(self) -> str:
        return self.green.mode


class GreenBufferedReader(LineReader):
    """
    A buffered reader whose waits let other green threads run.

    All that reads is a switch point unless it is in the buffer.
    """

    def __init__(
        self, raw: GreenFileIO, buffer_size: int = io.DEFAULT_BUFFER_SIZE
    ) -> None:
        self._source = _Source(raw)
        # Between green threads that read the same file.
        self._turn = RLock()
        super().__init__(self._source, buffer_size)

    @property
    def raw(self) -> Any:  # type: ignore[override]
        """The raw file."""
        return self._source.green

    def detach(self) -> Any:
        """Separate the raw file from the buffer and return it."""
        super().detach()
        return self._source.green

    def _rest_of_line(self, line: bytes, size: int | None = -1) -> bytes:
        """Complete what `readline` got when there was no more."""
        if size is None:
            size = -1
        source, parts = self._source, [line]
        with self._turn:
            while source.blocked and not line.endswith(b"\n"):
                left = -1 if size < 0 else size - sum(map(len, parts))
                if left == 0:
                    break
                source.wait()
                line = _base.readline(self, left)
                parts.append(line)
        return b"".join(parts)

    def read(self, size: int | None = -1) -> bytes:
        """Return `size` bytes, fewer at the end, everything if negative."""
        source = self._source
        with self._turn:
            if size is None or size < 0:
                return self._read_all()
            data = _base.read(self, size) or b""
            if len(data) == size or not source.blocked:
                return data
            parts, left = [data], size - len(data)
            while left and source.blocked:
                source.wait()
                data = _base.read(self, left) or b""
                parts.append(data)
                left -= len(data)
            return b"".join(parts)

    def _read_all(self) -> bytes:
        source, parts = self._source, []
        while True:
            data = _base.read(self, _CHUNK) or b""
            parts.append(data)
            if source.blocked:
                source.wait()
            elif len(data) < _CHUNK:
                return b"".join(parts)

    def read1(self, size: int = -1) -> bytes:
        """Return what is there, at most `size` bytes; waits while there is nothing."""
        while True:
            data = _base.read1(self, size)
            if data or not self._source.blocked or size == 0:
                return data
            self._source.wait()

    def peek(self, size: int = 0) -> bytes:
        """Return what the next `read` would, without taking it."""
        while True:
            data = _base.peek(self, size)
            if data or not self._source.blocked:
                return data
            self._source.wait()

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer`, less of it at the end, and return the number of bytes."""
        view, total = memoryview(buffer).cast("B"), 0
        with self._turn:
            while True:
                total += _base.readinto(self, view[total:]) or 0
                if total == len(view) or not self._source.blocked:
                    return total
                self._source.wait()

    def readinto1(self, buffer: Any) -> int:
        """Put what is there into `buffer`; waits while there is nothing."""
        while True:
            count = _base.readinto1(self, buffer)
            if count or not self._source.blocked:
                return count or 0
            self._source.wait()


# What is asked for at once when everything is to be read.
_CHUNK = 1 << 16
