"""
Request bodies and header lines, on any object that has ``read`` and ``readline``.

Nothing here knows of sockets or green threads. Heads are read by native code; a body is
read by `Input`, which an application gets as ``wsgi.input``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet._wsgi.limits import BodyTimeout, Pace, header_sizes
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = [
    "HEADERS_RAW",
    "STATE_CLOSE",
    "STATE_IDLE",
    "STATE_REQUEST",
    "BodyTooLarge",
    "ChunkReadError",
    "FileObjectForHeaders",
    "HeaderLineTooLong",
    "HeadersTooLarge",
    "IncompleteBody",
    "Input",
    "addr_to_host_port",
    "encode_header_line",
    "format_date_time",
    "is_closed",
    "parse_chunk_size",
    "plain",
]

# The third item of what a server keeps of a connection.
STATE_IDLE = "idle"
STATE_REQUEST = "request"
STATE_CLOSE = "close"

# Of the line that opens a chunk, with the extensions that nobody uses.
_LONGEST_CHUNK_LINE = 4096
# Read in one piece, while there is a limit on how slowly it may come.
_PIECE = 64 << 10


class ChunkReadError(ValueError):
    """A chunked request body is malformed, or there is none where one must be."""


class IncompleteBody(ChunkReadError, OSError):
    """The connection has ended before the end of a request's body."""


class BodyTooLarge(ChunkReadError, OSError):
    """A request's body is larger than the server's limit on it."""


class HeaderLineTooLong(Exception):
    """A header line is longer than ``eventlet.wsgi.MAX_HEADER_LINE``."""


class HeadersTooLarge(Exception):
    """A request's headers are larger than ``eventlet.wsgi.MAX_TOTAL_HEADER_SIZE``."""


class FileObjectForHeaders:
    """
    Reads header lines and refuses too long ones, and too many.

    Args:
        fp: The file that the lines are read from.
        sizes: The limits on a line and on all of them; None for those of `eventlet.wsgi`.
    """

    def __init__(self, fp: Any, sizes: tuple[int, int] | None = None) -> None:
        self.fp = fp
        self.total_header_size = 0
        self._longest, self._largest = sizes or header_sizes()

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
    """
    Return the size that the line before a chunk tells.

    Raises:
        ChunkReadError: If it is not a hexadecimal number, extensions perhaps, and CR LF.
            Signs, underscores, blanks and ``0x``, which ``int`` takes, are none.
    """
    size = _core.http_chunk_size(line)
    if size is None:
        # Upstream's words, which programs look for.
        digits = line.partition(b";")[0][:80]
        msg = f"invalid literal for int() with base 16: {digits!r}"
        raise ChunkReadError(msg)
    return size


class Input:
    """
    The body of a request: ``wsgi.input``.

    Reads no further than the body's end, however that is told. The first read lets a
    client that waits for it know that it may send the body ("100 Continue").

    Whatever is an argument is an attribute, too, and counts when it is set later.

    Args:
        rfile: What to read from.
        content_length: The body's size, None if the client has not told it.
        sock: The connection's socket, for `get_socket`.
        wfile: Where "100 Continue" is written; None if the client does not wait for it.
        wfile_line: The status line of that response.
        chunked_input: Whether the body comes in chunks.
    """

    # Of the class: few requests need them to be otherwise.

    #: How many bytes of the body, or of the current chunk, have been read.
    position = 0
    #: The size of the current chunk: -1 before the first one, 0 at the end.
    chunk_length = -1
    hundred_continue_headers: list[tuple[str, str]] | None = None
    hundred_continue_capitalize = True
    is_hundred_continue_response_sent = False
    #: Set when the response has begun: "100 Continue" would come too late.
    headers_sent = False
    #: What holds the client to a least speed.
    pace: Pace | None = None
    #: The largest body that is read.
    largest: int | None = None
    #: Whether a body that ends before its ``content_length`` raises.
    whole = False
    #: What has made the body unreadable.
    failure: Exception | None = None
    _total = 0  # of all chunks
    _ended = False  # before the end

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

    @property
    def is_read(self) -> bool:
        """
        Whether the body was read to its end.
        """
        if self.chunked_input:
            return self.chunk_length == 0
        return self._ended or self.position >= int(self.content_length or 0)

    # "100 Continue"

    @property
    def should_send_hundred_continue(self) -> bool:
        """
        Whether the client waits to be told that it may send the body.
        """
        return (
            self.wfile is not None
            and not self.is_hundred_continue_response_sent
            and not self.headers_sent
        )

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
        if self.wfile is None or self.headers_sent:
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
        if self.chunk_length == 0:
            self.chunk_length = -1

    # Reading

    def _fail(self, error: Exception) -> None:
        """Raise, now and at every later read: nobody knows where the body goes on."""
        self.failure = error
        raise error

    def _room(self) -> int:
        """Return how many bytes can be read before the next look, 0 at the end."""
        if self.failure is not None:
            raise self.failure
        if self.wfile is not None and self.should_send_hundred_continue:
            self.send_hundred_continue_response()
        if not self.chunked_input:
            if self._ended:
                return 0
            return max(0, int(self.content_length or 0) - self.position)
        if self.chunk_length and self.position >= self.chunk_length:
            self._next_chunk()
        return self.chunk_length - self.position

    def _next_chunk(self) -> None:
        # Chunks may be so small that many arrive at once.
        _core.pay_operation()
        end = self._line(2) if self.chunk_length > 0 else b"\r\n"
        if end and end != b"\r\n":
            self._fail(
                ChunkReadError("a chunk must end with CR LF where its size says")
            )
        try:
            size = parse_chunk_size(self._line(_LONGEST_CHUNK_LINE) if end else b"")
        except ChunkReadError as error:
            self._fail(error)
        self._total += size
        if self.largest is not None and self._total > self.largest:
            self._fail(BodyTooLarge(f"the body is larger than {self.largest} bytes"))
        if not size:
            self._skip_trailers()
        self.chunk_length = size
        self.position = 0

    def _skip_trailers(self) -> None:
        """Read and drop trailers: one taken for a header is one that no proxy checked."""
        line, whole = header_sizes()
        while (trailer := self._line(line + 1)) != b"\r\n":
            whole -= len(trailer)
            if len(trailer) > line or whole < 0:
                self._fail(
                    ChunkReadError("the trailers of a chunked body are too large")
                )
            if not _core.http_is_field(trailer):
                self._fail(ChunkReadError(f"a trailer is malformed: {trailer[:80]!r}"))

    def _line(self, size: int) -> bytes:
        """Read a line of what stands around chunks."""
        return self._fetch(self.rfile.readline, size)

    def _fetch(self, read: Callable[[int], bytes], size: int) -> bytes:
        if self.pace is None:
            return read(size)
        try:
            return self.pace.read(read, size)
        except BodyTimeout as error:
            self._fail(error)
            raise

    def _took(self, data: bytes) -> bytes:
        self.position += len(data)
        if not data:
            if self.chunked_input:
                # Upstream's words, again.
                msg = "unexpected end of file while parsing chunked data"
                self._fail(IncompleteBody(msg))
            if self.whole:
                msg = (
                    f"the connection ended after {self.position} of"
                    f" {self.content_length} bytes of the body"
                )
                self._fail(IncompleteBody(msg))
            # Nothing more will come; what was announced is not waited for.
            self._ended = True
        return data

    def _read(self, length: int) -> bytes:
        """Read `length` bytes, or all if negative."""
        parts: list[bytes] = []
        read, most = self.rfile.read, -1
        if self.pace is not None:
            # One that returns when there is something: that can be timed.
            read, most = getattr(self.rfile, "read1", read), _PIECE
        while length:
            room = self._room()
            if not room:
                break
            wanted = room if length < 0 else min(room, length)
            data = self._took(
                self._fetch(read, min(wanted, most) if most > 0 else wanted)
            )
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
            wanted = min(room, _PIECE) if size < 0 else min(room, size, _PIECE)
            data = self._took(self._fetch(self.rfile.readline, wanted))
            if not data:
                break
            parts.append(data)
            if data.endswith(b"\n"):
                break
            size -= len(data) if size > 0 else 0
        return b"".join(parts)

    def read(self, length: int | None = None) -> bytes:
        """
        Read `length` bytes, or all; fewer only at the end of the body. Switch point.

        Raises:
            ChunkReadError: If a chunk is malformed, or there is none where one must be.
            IncompleteBody: If the connection ends within a chunk, or, where a server has
                made this, before ``content_length``. It is an OSError, too.
            BodyTooLarge: If it is larger than the server's limit.
            BodyTimeout: If the client is too slow; a TimeoutError.
        """
        return self._read(-1 if length is None else length)

    def readline(self, size: int | None = None) -> bytes:
        """
        Read a line, or the first `size` bytes of it. Switch point.

        Raises the same exceptions as `read`.
        """
        return self._readline(-1 if size is None else size)

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


class _Extension(str):
    """
    A key of ``environ`` that is the server's own.

    PEP 3333 wants those to have a dot, and `wsgiref.validate` looks for one before it
    demands text as the value; upstream's name has none, so this one says that it has.
    """

    __slots__ = ()

    def __contains__(self, part: object) -> bool:
        return part == "." or super().__contains__(part)  # type: ignore[operator]


HEADERS_RAW = _Extension("headers_raw")


def plain(text: Any) -> str:
    r"""
    Return text from a client for a log: control characters as ``\xNN``.
    """
    text = str(text)
    return text if text.isascii() and text.isprintable() else text.translate(_CONTROLS)


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


def is_closed(sock: Any) -> bool:
    """
    Say whether a socket is; what stands in for one need not have a descriptor.
    """
    try:
        return bool(sock.fileno() < 0)
    except (AttributeError, OSError, TypeError, ValueError):
        return False


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
