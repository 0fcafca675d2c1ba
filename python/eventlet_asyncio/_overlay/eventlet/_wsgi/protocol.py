"""
Request bodies and header lines, on any object that has ``read`` and ``readline``.

Nothing here knows of sockets or green threads. Heads are read by native code; a body is
read by `Input`, which an application gets as ``wsgi.input``.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from eventlet.timeout import Timeout
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "STATE_CLOSE",
    "STATE_IDLE",
    "STATE_REQUEST",
    "ChunkReadError",
    "FileObjectForHeaders",
    "HeaderLineTooLong",
    "HeadersTooLarge",
    "Input",
    "addr_to_host_port",
    "encode_header_line",
    "format_date_time",
    "parse_chunk_size",
    "plain",
]

# The third item of what a server keeps of a connection.
STATE_IDLE = "idle"
STATE_REQUEST = "request"
STATE_CLOSE = "close"

# Of the line that opens a chunk, with the extensions that nobody uses.
_LONGEST_CHUNK_LINE = 4096
_HEX = frozenset(b"0123456789abcdefABCDEF")


class ChunkReadError(ValueError):
    """A chunked request body is malformed, or ends too early."""


class HeaderLineTooLong(Exception):
    """A header line is longer than ``eventlet.wsgi.MAX_HEADER_LINE``."""


class HeadersTooLarge(Exception):
    """A request's headers are larger than ``eventlet.wsgi.MAX_TOTAL_HEADER_SIZE``."""


class FileObjectForHeaders:
    """
    Reads header lines and refuses too long ones, and too many.

    Args:
        fp: The file that the lines are read from.
    """

    def __init__(self, fp: Any) -> None:
        from eventlet import wsgi

        self.fp = fp
        self.total_header_size = 0
        self._longest = wsgi.MAX_HEADER_LINE
        self._largest = wsgi.MAX_TOTAL_HEADER_SIZE

    def readline(self, size: int = -1) -> bytes:
        """
        Read one line. Switch point if the file's is.

        Raises:
            HeaderLineTooLong: If the line is.
            HeadersTooLarge: If the lines so far are, in sum.
        """
        limit = self._longest + 1
        line: bytes = self.fp.readline(limit if size < 0 else min(size, limit))
        if len(line) > self._longest:
            raise HeaderLineTooLong
        self.total_header_size += len(line)
        if self.total_header_size > self._largest:
            raise HeadersTooLarge
        return line


def parse_chunk_size(line: bytes) -> int:
    r"""
    Return the size that the line before a chunk tells.

    Args:
        line: The line with its end; what follows a semicolon is ignored.

    Raises:
        ChunkReadError: If it has no CR LF at its end or no hexadecimal number at its
            beginning. Signs, underscores and ``0x``, which ``int`` takes, are none.
    """
    digits, semicolon, extension = line.partition(b";")
    if not semicolon:
        digits = digits.removesuffix(b"\r\n")
    # Blanks before the semicolon are legal, and were legal once without one.
    digits = digits.rstrip(b" \t")
    whole = line.endswith(b"\r\n") and b"\r" not in extension.removesuffix(b"\r\n")
    if not whole or not digits or len(digits) > 16 or not _HEX.issuperset(digits):
        msg = f"a chunk must begin with its size and CR LF, not with {line[:40]!r}"
        raise ChunkReadError(msg)
    return int(digits, 16)


class Input:
    """
    The body of a request: ``wsgi.input``.

    Reads no further than the body's end, however that is told. The first read lets a
    client that waits for it know that it may send the body ("100 Continue").

    Args:
        rfile: What to read from.
        content_length: The body's size, None if the client has not told it.
        sock: The connection's socket, for `get_socket`.
        wfile: Where "100 Continue" is written; None if the client does not wait for it.
        wfile_line: The status line of that response.
        chunked_input: Whether the body comes in chunks.
    """

    #: Seconds from the first read to the body's end; no limit if None.
    timeout: float | None = None

    def __init__(
        self,
        rfile: Any,
        content_length: Any,
        sock: Any,
        wfile: Any = None,
        wfile_line: bytes | None = None,
        chunked_input: bool = False,
    ) -> None:
        self.rfile = rfile
        self._sock = sock
        self.content_length = None if content_length is None else int(content_length)
        self.wfile = wfile
        self.wfile_line = wfile_line
        self.chunked_input = chunked_input
        self.is_hundred_continue_response_sent = False
        # Bytes until the end of the body, or of the chunk.
        self._left = 0 if chunked_input else self.content_length or 0
        self._done = not chunked_input
        self._within = False

    # Of the class: few requests need them.
    hundred_continue_headers: list[tuple[str, str]] | None = None
    hundred_continue_capitalize = True
    _deadline: float | None = None
    _lost = 0
    #: Whether reading was given up since the client was too slow.
    timed_out = False

    @property
    def position(self) -> int:
        """
        How many bytes of a body whose size was told have been read.
        """
        return (self.content_length or 0) - self._left - self._lost

    @property
    def is_read(self) -> bool:
        """
        Whether the body was read to its end.
        """
        return self._done and not self._left

    # "100 Continue"

    @property
    def should_send_hundred_continue(self) -> bool:
        """
        Whether the client waits to be told that it may send the body.
        """
        return self.wfile is not None and not self.is_hundred_continue_response_sent

    def set_hundred_continue_response_headers(
        self,
        headers: Iterable[tuple[str, str]],
        capitalize_response_headers: bool = True,
    ) -> None:
        """
        Set the headers of the "100 Continue" response that comes next.

        Args:
            headers: Pairs of name and value.
            capitalize_response_headers: Write names as ``Content-Type``, however they
                are given.
        """
        self.hundred_continue_headers = list(headers)
        self.hundred_continue_capitalize = capitalize_response_headers

    def send_hundred_continue_response(self) -> None:
        """
        Tell the client to send the body, or to send the next one. Switch point.

        The first time is not the application's business: reading does it. Afterwards
        this asks for a further part; with chunks that is a further series of them.

        Raises:
            ValueError: If a header could be mistaken for others.
        """
        self.is_hundred_continue_response_sent = True
        if self.wfile is None:
            return
        lines = [self.wfile_line or b"HTTP/1.1 100 Continue\r\n"]
        for name, value in self.hundred_continue_headers or ():
            text = str(name)
            if self.hundred_continue_capitalize:
                text = "-".join(part.capitalize() for part in text.split("-"))
            line = encode_header_line((text, value))
            if set(b"\r\n\0") & set(line[:-2]):
                msg = f"a header of a 100 response has a line end or NUL: {name!r}"
                raise ValueError(msg)
            lines.append(line)
        lines.append(b"\r\n")
        self.wfile.write(b"".join(lines))
        self.wfile.flush()
        if self.chunked_input:
            self._done = False

    # Reading

    def _room(self) -> int:
        """Return how many bytes can be read before the next look, 0 at the end."""
        if self.wfile is not None and not self.is_hundred_continue_response_sent:
            self.send_hundred_continue_response()
        if not self._left and not self._done:
            self._next_chunk()
        return self._left

    def _next_chunk(self) -> None:
        readline = self.rfile.readline
        if self._within:
            if readline(2) != b"\r\n":
                msg = "a chunk must end with CR LF where its size says"
                raise ChunkReadError(msg)
            self._within = False
        self._left = parse_chunk_size(readline(_LONGEST_CHUNK_LINE))
        if self._left:
            self._within = True
            return
        # Trailers are read and dropped: who merges them into the headers can be told
        # what a proxy in front has checked and found missing.
        lines = FileObjectForHeaders(self.rfile)
        try:
            while (line := lines.readline()) != b"\r\n":
                if not line.endswith(b"\r\n"):
                    msg = "the connection ended in the trailers of a chunked body"
                    raise ChunkReadError(msg)
        except (HeaderLineTooLong, HeadersTooLarge):
            msg = "the trailers of a chunked body are too large"
            raise ChunkReadError(msg) from None
        self._done = True

    def _took(self, data: bytes) -> bytes:
        self._left -= len(data)
        if not data:
            if self.chunked_input:
                msg = "the connection ended in the middle of a chunk"
                raise OSError(msg)
            # Nothing more will come; what was announced is not waited for.
            self._lost, self._left = self._left, 0
        return data

    def _read(self, length: int) -> bytes:
        """Read `length` bytes, or all if negative."""
        parts: list[bytes] = []
        while length:
            room = self._room()
            if not room:
                break
            wanted = room if length < 0 else min(room, length)
            data = self._took(self.rfile.read(wanted))
            if not data:
                break
            parts.append(data)
            length -= len(data) if length > 0 else 0
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _readline(self, size: int) -> bytes:
        parts: list[bytes] = []
        while size:
            room = self._room()
            if not room:
                break
            wanted = room if size < 0 else min(room, size)
            data = self._took(self.rfile.readline(wanted))
            if not data:
                break
            parts.append(data)
            if data.endswith(b"\n"):
                break
            size -= len(data) if size > 0 else 0
        return b"".join(parts)

    def _in_time(self, read: Callable[[int], bytes], size: int) -> bytes:
        try:
            if self.timeout is None:
                return read(size)
            now = time.monotonic()
            if self._deadline is None:
                self._deadline = now + self.timeout
            error = TimeoutError("timed out: the client sends the body too slowly")
            with Timeout(max(0.0, self._deadline - now), error):
                data = read(size)
        except TimeoutError:
            self.timed_out = True
            raise
        return data

    def read(self, length: int | None = None) -> bytes:
        """
        Read `length` bytes, or all; fewer only at the end of the body. Switch point.

        Raises:
            ChunkReadError: If a chunk is malformed, or there is none where one must be.
            OSError: If the connection ends within a chunk.
            TimeoutError: If the client is too slow.
        """
        size = -1 if length is None else length
        return self._in_time(self._read, size)

    def readline(self, size: int | None = None) -> bytes:
        """
        Read a line, or the first `size` bytes of it. Switch point.

        Raises the same exceptions as `read`.
        """
        length = -1 if size is None else size
        return self._in_time(self._readline, length)

    def readlines(self, hint: int | None = None) -> list[bytes]:
        """
        Read the lines to the end, or until they are `hint` bytes in sum. Switch point.
        """
        lines: list[bytes] = []
        total = 0
        while line := self.readline():
            lines.append(line)
            total += len(line)
            if hint is not None and 0 < hint <= total:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.readline, b"")

    def get_socket(self) -> Any:
        """
        Return the connection's socket, for a protocol that takes it over.
        """
        return self._sock

    def take_buffered(self) -> bytes:
        """
        Return what was received behind the request head, and forget it.

        For a protocol that takes the connection over: a client may have sent its first
        bytes together with the request.
        """
        rfile = self.rfile
        if isinstance(rfile, _core.HttpReader):
            return rfile.detach()
        peek = getattr(rfile, "peek", None)
        if peek is None:
            return b""
        # The buffered reader of a makefile(). If it holds nothing, the look at it reads
        # from the socket, which must not wait.
        sock = self._sock
        timeout = None if sock is None else sock.gettimeout()
        try:
            if sock is not None:
                sock.settimeout(0)
            held: bytes = peek(0)
        except OSError:
            held = b""
        finally:
            if sock is not None:
                sock.settimeout(timeout)
        return bytes(rfile.read(len(held))) if held else b""

    def discard(self, buffer_size: int = 16 << 10) -> None:
        """
        Read the rest and throw it away. Switch point.

        Raises the same exceptions as `read`.
        """
        while self.read(buffer_size):
            pass


def plain(text: Any) -> str:
    r"""
    Return text from a client for a log: control characters as ``\xNN``.
    """
    text = str(text)
    return text if text.isascii() and text.isprintable() else text.translate(_CONTROLS)


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


def addr_to_host_port(addr: Any) -> tuple[Any, Any]:
    """
    Return host and port of a socket's address; ``unix`` and nothing for a path.
    """
    host: Any = "unix"
    port: Any = ""
    if isinstance(addr, tuple):
        host = addr[0]
        port = addr[1]
    return host, port


def format_date_time(timestamp: float) -> str:
    """
    Return a moment, in seconds since 1970, as HTTP writes dates.
    """
    return _core.http_date(max(0, int(timestamp)))


def encode_header_line(header: tuple[Any, Any]) -> bytes:
    """
    Return a header as the bytes of its line.

    Raises:
        UnicodeEncodeError: If a character has no place in latin-1, which is all that
            WSGI headers may hold.
    """
    name, value = (part if isinstance(part, str) else str(part) for part in header)
    try:
        encoded_name = name.encode("latin-1")
    except UnicodeEncodeError as error:
        error.reason += "; header names must be plain ASCII"
        raise
    try:
        encoded_value = value.encode("latin-1")
    except UnicodeEncodeError as error:
        error.reason += (
            "; header values are latin-1 in WSGI: encode others as RFC 8187 says"
        )
        raise
    return b"%b: %b\r\n" % (encoded_name, encoded_value)
