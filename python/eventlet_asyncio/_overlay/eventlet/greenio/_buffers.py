"""
Buffers of green files by the interpreter's own ones.

The C buffers hold a lock of their OS thread while they call the raw file: a green thread
that waited in there would have the next one refused. So the raw file never waits for
them (`_Layer`), and who finds nothing, or no room, waits out here.
"""

from __future__ import annotations

import io
import operator
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from weakref import ref

from eventlet_asyncio._core import BufferedReader, BufferedWriter, RLock

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlet.greenio.py3 import GreenFileIO

_reader: Any = io.BufferedReader
_writer: Any = io.BufferedWriter


class _Layer(io.RawIOBase):
    """What a green raw file is for a C buffer: one that says that it would block."""

    # A property's call for each line would cost more than the line.
    __slots__ = ("closed",)
    closed: bool

    def __init__(self, raw: GreenFileIO) -> None:
        self.closed = raw.closed
        self.green = raw
        # The last attempt did nothing, which is not the end.
        self.blocked = False
        raw.layers.append(ref(self))

    def readinto(self, buffer: Any) -> int | None:
        count = self.green.read_what_is_there(buffer)
        self.blocked = count is None
        return count

    def write(self, data: Any) -> int | None:
        return self.green.write_what_fits(data)

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

    def truncate(self, size: int | None = None) -> int:
        return self.green.truncate(size)

    def fileno(self) -> int:
        return self.green.fileno()

    def isatty(self) -> bool:
        return self.green.isatty()

    def flush(self) -> None:
        self.green.flush()

    def close(self) -> None:
        self.green.close()

    @property
    def name(self) -> Any:
        return self.green.name

    @property
    def mode(self) -> str:
        return self.green.mode


class _Buffer:
    """What both buffers have: the raw file, and turns of those who wait with it."""

    _held: bool

    def __init__(self, raw: GreenFileIO, buffer_size: int) -> None:
        self._layer = _Layer(raw)
        # Between green threads that use the same file.
        self._turn = RLock()
        self._wanted = 0
        super().__init__(self._layer, buffer_size)  # type: ignore[call-arg]

    @property
    def raw(self) -> Any:
        """The raw file."""
        return self._layer.green

    def detach(self) -> Any:
        """Separate the raw file from the buffer and return it."""
        super().detach()  # type: ignore[misc]
        return self._layer.green

    def _take_turn(self) -> None:
        """Wait for whoever is in the middle of something. Switch point if one is."""
        self._wanted += 1
        self._held = True
        try:
            self._turn.acquire()
        except BaseException:
            self._leave()
            raise

    def _end_turn(self) -> None:
        self._leave()
        self._turn.release()

    def _leave(self) -> None:
        # As long as one waits for a turn, nobody begins without.
        self._wanted -= 1
        self._held = self._wanted > 0


class GreenBufferedReader(_Buffer, BufferedReader):  # type: ignore[override]
    """
    A buffered reader whose waits let other green threads run.

    All that reads is a switch point unless it is in the buffer.
    """

    def __init__(
        self, raw: GreenFileIO, buffer_size: int = io.DEFAULT_BUFFER_SIZE
    ) -> None:
        super().__init__(raw, buffer_size)

    def _go_on(self, tried: bool, attempt: Callable[[], bool]) -> None:
        """
        Make attempts, with waits between them, until one says that this is all.

        Args:
            tried: An attempt was made just now, and did not get all.
            attempt: Reads on; true if nothing more is wanted. Where the file has ended,
                no further one is made.
        """
        layer = self._layer
        if tried and not layer.blocked:
            return
        self._take_turn()
        try:
            while True:
                if tried:
                    layer.green._wait()
                layer.blocked = False
                if attempt() or not layer.blocked:
                    return
                tried = True
        finally:
            self._end_turn()

    def _rest_of_read(self, size: Any, data: bytes | None) -> bytes:
        if size is None or size < 0:
            return self._read_all()
        tried = type(size) is int and not self._held
        parts, left = [data or b""], operator.index(size) - len(data or b"")

        def attempt() -> bool:
            nonlocal left
            more = _reader.read(self, left) or b""
            parts.append(more)
            left -= len(more)
            return not left

        self._go_on(tried, attempt)
        return b"".join(parts)

    def _read_all(self) -> bytes:
        parts = []

        def attempt() -> bool:
            while True:
                data = _reader.read(self, _CHUNK) or b""
                parts.append(data)
                if len(data) < _CHUNK:
                    return False

        self._go_on(False, attempt)
        return b"".join(parts)

    def _rest_of_readline(self, size: Any, line: bytes | None) -> bytes:
        tried, parts = not self._held, [line or b""]
        limit = -1 if size is None else operator.index(size)
        left = limit - len(parts[0]) if limit >= 0 else -1

        def attempt() -> bool:
            nonlocal left
            more = _reader.readline(self, left)
            parts.append(more)
            if left >= 0:
                left -= len(more)
            return left == 0 or more.endswith(b"\n")

        if left != 0 or not tried:
            self._go_on(tried, attempt)
        return b"".join(parts)

    def _some(self, method: Any, size: Any, empty: Any) -> Any:
        """Do what `read1`, `peek` and `readinto1` do once there is something."""
        tried, found = not self._held, empty

        def attempt() -> bool:
            nonlocal found
            found = method(self) if size is None else method(self, size)
            return bool(found)

        self._go_on(tried, attempt)
        return found or empty

    def _rest_of_read1(self, size: Any, data: bytes | None) -> Any:
        if size == 0 and data is not None:
            return data
        return self._some(_reader.read1, size, b"")

    def _rest_of_peek(self, size: Any, _data: bytes | None) -> Any:
        return self._some(_reader.peek, size, b"")

    def _rest_of_readinto1(self, buffer: Any, count: int | None) -> Any:
        if count is not None and not memoryview(buffer).nbytes:
            return count
        return self._some(_reader.readinto1, buffer, 0)

    def _rest_of_readinto(self, buffer: Any, count: int | None) -> int:
        tried, total = not self._held, count or 0
        with memoryview(buffer) as given, given.cast("B") as view:

            def attempt() -> bool:
                nonlocal total
                with view[total:] as left:
                    total += _reader.readinto(self, left) or 0
                return total == len(view)

            self._go_on(tried, attempt)
        return total


class GreenBufferedWriter(_Buffer, BufferedWriter):  # type: ignore[override]
    """
    A buffered writer whose waits let other green threads run.

    What does not fit into the buffer is a switch point, and so is `flush`.
    """

    def __init__(
        self, raw: GreenFileIO, buffer_size: int = io.DEFAULT_BUFFER_SIZE
    ) -> None:
        super().__init__(raw, buffer_size)

    def _rest_of_write(self, data: Any, error: BlockingIOError | None) -> int:
        # In the tally of who waits: how many bytes the buffer has taken.
        done = error.characters_written if error is not None else 0
        wait = error is not None
        self._take_turn()
        try:
            with memoryview(data) as given, given.cast("B") as view:
                while True:
                    if wait:
                        self._layer.green._wait(write=True)
                    try:
                        with view[done:] as left:
                            _writer.write(self, left)
                    except BlockingIOError as full:
                        done += full.characters_written
                        wait = True
                    else:
                        return len(view)
        finally:
            self._end_turn()

    def flush(self) -> None:
        """Write what is in the buffer. Switch point if there is no room for it."""
        if not self._held:
            with suppress(BlockingIOError):
                return _writer.flush(self)
        self._take_turn()
        try:
            while True:
                try:
                    return _writer.flush(self)
                except BlockingIOError:
                    self._layer.green._wait(write=True)
        finally:
            self._end_turn()


# What is asked for at once when everything is to be read.
_CHUNK = 1 << 16
