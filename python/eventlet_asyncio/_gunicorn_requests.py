"""
Requests for gunicorn, read by the parser of `eventlet.wsgi`.

A head is read and judged here. gunicorn's own parser is then given the head as it was
understood, line by line in its plainest form, so that its settings about proxies, schemes
and header names hold, and nothing that it might take otherwise reaches it. Bodies are
those of `eventlet.wsgi`: gunicorn's framing is not asked.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from gunicorn.http.message import Request
from gunicorn.http.unreader import IterUnreader

from eventlet import wsgi
from eventlet._wsgi.protocol import (
    ChunkReadError,
    FileObjectForHeaders,
    HeaderLineTooLong,
    HeadersTooLarge,
    Input,
)
from eventlet_asyncio import _core

__all__ = ["Requests", "refusal_of"]

# Empty lines before a request are skipped, but not for ever.
_EMPTY_LINES = 8
_STRICT = True
# Nobody but us has read the head.
_TRUSTED = False


class Requests:
    """
    The requests of one connection.

    Args:
        cfg: gunicorn's configuration.
        client: The connection's socket.
        address: The client's.
    """

    def __init__(self, cfg: Any, client: Any, address: Any) -> None:
        self._cfg = cfg
        self._client = client
        self._address = address
        self._file = client.makefile("rb")
        self._limit = cfg.limit_request_line or wsgi.MAX_REQUEST_LINE
        self._request: Any = None
        self._count = 0

    def next(self) -> Any:
        """
        Read a request's head; None at the end of the connection. Switch point.

        What the application has left of the last one's body is read and dropped.

        Raises:
            HttpRefusal: If it is malformed, or too large.
            Exception: What gunicorn raises for what its settings do not allow.
        """
        if self._request is not None:
            if self._request.should_close():
                return None
            with suppress(ChunkReadError, OSError):
                self._request.body.discard()
            if not self._request.body.is_read:
                return None
        head = self._read_head()
        if head is None:
            return None
        method, target, minor, headers = _core.http_parse(head, _STRICT)
        flags, length = _core.http_framing(method, minor, headers, _STRICT, _TRUSTED)
        lines = [f"{method} {target} HTTP/1.{minor}"]
        lines += [f"{name}: {value}" for name, value in headers]
        plain = "\r\n".join([*lines, "", ""]).encode("latin-1")
        self._count += 1
        request = Request(self._cfg, IterUnreader([plain]), self._address, self._count)
        request.body = Input(
            self._file,
            None if length < 0 else length,
            self._client,
            None,
            None,
            flags & _core.HTTP_CHUNKED != 0,
        )
        if flags & _core.HTTP_CLOSE:
            # gunicorn looks for the one word alone, and in the first line only.
            request.force_close()
        # A body that ends early is an error for the application.
        request.body.whole = True
        self._request = request
        return request

    def close(self) -> None:
        """Give back what keeps the connection open."""
        with suppress(OSError):
            self._file.close()

    def _read_head(self) -> bytes | None:
        """Return a head with its line ends; None if the connection ends before its end."""
        line = b""
        for _ in range(_EMPTY_LINES):
            line = self._file.readline(self._limit + 1)
            if line != b"\r\n":
                break
        if len(line) > self._limit:
            raise _core.HttpRefusal(414, "URI Too Long", "the request line is too long")
        if not line.endswith(b"\n"):
            return None
        lines = [line]
        file = FileObjectForHeaders(self._file)
        try:
            while line not in (b"\r\n", b"\n"):
                line = file.readline()
                if not line.endswith(b"\n"):
                    return None
                lines.append(line)
        except (HeaderLineTooLong, HeadersTooLarge):
            reason = "Request Header Fields Too Large"
            raise _core.HttpRefusal(431, reason, "the head is too large") from None
        return b"".join(lines)


def refusal_of(error: BaseException) -> tuple[int, str, str] | None:
    """
    Return the status, its reason and the detail for a request that is refused.

    None for an error that is not the client's.
    """
    if isinstance(error, _core.HttpRefusal):
        code, reason, detail = error.args
        return code, reason, detail
    if isinstance(error, ChunkReadError):
        return 400, "Bad Request", str(error)
    return None
