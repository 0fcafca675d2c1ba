"""
The long way through a connection: each step of a request is a method.

Programs override these; `native` takes the short way where none of them does.
"""

from __future__ import annotations

import errno
import time
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote

from eventlet._wsgi.exchange import Exchange
from eventlet._wsgi.limits import Limits, header_sizes
from eventlet._wsgi.protocol import (
    STATE_CLOSE,
    STATE_IDLE,
    STATE_REQUEST,
    FileObjectForHeaders,
    HeaderLineTooLong,
    HeadersTooLarge,
    Input,
    is_closed,
)
from eventlet.timeout import Timeout
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlet._wsgi.connection import HttpProtocol

__all__ = ["GONE", "Steps"]

_CLOSE: int = _core.HTTP_CLOSE
_NEW: int = _core.HTTP_NEW
_EXPECTS: int = _core.HTTP_EXPECTS
_KEEP_ALIVE: int = _core.HTTP_KEEP_ALIVE
_CHUNKED: int = _core.HTTP_CHUNKED

# The headers that decide about framing and the connection.
_FRAMING = {"connection", "content-length", "expect", "host", "transfer-encoding"}

#: Errors that say that the client is gone.
GONE = frozenset(
    {errno.EPIPE, errno.ECONNRESET, errno.ENOTCONN, errno.ECONNABORTED, errno.EBADF}
)


class Steps:
    """
    From a connection's bytes to a response, step by step; mixed into `HttpProtocol`.
    """

    if TYPE_CHECKING:
        # What `HttpProtocol` has, and the standard library's handler beneath it.
        client_address: Any
        command: Any
        conn_state: Any
        connection: Any
        is_last: bool
        header_timeout: float | None
        headers: Any
        limits: Limits
        path: Any
        reject_bad_requests: bool
        request_version: str
        requestline: str
        rfile: Any
        server: Any
        timeout: float | None
        _body: Callable[[int, int], Input]
        _is_too_large: Callable[[int], bool]
        _message: Callable[[Any], Any]
        _of_connection: Callable[[dict[str, Any]], dict[str, Any]]
        _refuse: Callable[[int, str, str], None]
        _set_idle: Callable[[], None]

        def _patience(self) -> float | None: ...

    #: Whether a request has begun to arrive.
    _begun = False

    def handle_one_request(self) -> None:
        """
        Read one request and have it served. Switch point.
        """
        try:
            there = self._await_request()
        except OSError as error:
            if error.errno not in GONE:
                raise
            there = False
        if not there:
            self.close_connection = True
            return
        self._begun = True
        limit = self.header_timeout
        if self.conn_state[2] is STATE_CLOSE:
            limit = self.limits.drain
        with Timeout(limit, TimeoutError("timed out")):
            parsed = self._read_head()
        self._requested = True
        if not parsed:
            self.close_connection = True
            return
        if self.conn_state[2] is STATE_CLOSE:
            self.is_last = True
        else:
            self.conn_state[2] = STATE_REQUEST
        try:
            if self._is_too_large(self._framing()[1]):
                return
            self.environ = self.get_environ()
        except _core.HttpRefusal as refusal:
            self._refuse(*refusal.args)
            return
        self.application = self.server.app
        self.handle_one_response()
        self._begun = False
        if self.conn_state[2] is not STATE_CLOSE:
            self.conn_state[2] = STATE_IDLE

    def _await_request(self) -> bool:
        """Wait for a request's first byte; False at the end. Switch point."""
        peek = getattr(self.rfile, "peek", None)
        if peek is None:
            # Without a buffer a byte cannot be waited for and left where it is.
            return self.conn_state[2] is not STATE_CLOSE or not self._requested
        patience = self._patience()
        settimeout = getattr(self.connection, "settimeout", None)
        if patience == self.timeout or settimeout is None:
            return bool(peek(1))
        settimeout(patience)
        try:
            return bool(peek(1))
        except OSError:
            if patience:
                raise
            return False
        finally:
            if not is_closed(self.connection):
                settimeout(self.timeout)

    def _read_request_line(self) -> bytes:
        """Read the first line of a request. Switch point."""
        line: bytes = self.rfile.readline(self.server.url_length_limit + 1)
        return line

    def _read_head(self) -> bool:
        """Read a head; False if there is none, or none that is served. Switch point."""
        # Of the last request, or of none: what writes logs may ask.
        self.command = self.requestline = self.request_version = ""
        for _ in range(8):
            self.raw_requestline = self._read_request_line()
            # Empty lines before a request are skipped, but not for ever.
            if self.raw_requestline != b"\r\n":
                break
        if not self.raw_requestline:
            return False
        if len(self.raw_requestline) > self.server.url_length_limit:
            self._refuse(414, "Request URI Too Long", "")
            return False
        rfile = self.rfile
        self.rfile = FileObjectForHeaders(rfile, header_sizes(self.limits))
        try:
            return self.parse_request()
        except HeaderLineTooLong:
            self._refuse(431, "Header Line Too Long", "")
        except HeadersTooLarge:
            self._refuse(431, "Headers Too Large", "")
        finally:
            self.rfile = rfile
        return False

    def parse_request(self) -> bool:
        """
        Read the head behind ``raw_requestline`` and set what it says. Switch point.

        Returns:
            False if it is refused; the client has been told then.

        Raises:
            HeaderLineTooLong: If a line is.
            HeadersTooLarge: If all lines are.
        """
        self.close_connection = True
        lines = [self.raw_requestline]
        if not self.raw_requestline.endswith(b"\n"):
            return False
        while True:
            line = self.rfile.readline()
            if not line.endswith(b"\n"):
                return False
            lines.append(line)
            if line in (b"\r\n", b"\n"):
                break
        self.requestline = self.raw_requestline.decode("latin-1").rstrip("\r\n")
        try:
            self.command, self.path, minor, headers = _core.http_parse(
                b"".join(lines), self.reject_bad_requests
            )
        except _core.HttpRefusal as refusal:
            self._refuse(*refusal.args)
            return False
        self.request_version = f"HTTP/1.{minor}"
        self.headers = self._message(headers)
        flags, _ = self._framing(trusted=False)
        closes = flags & _CLOSE or not flags & (_NEW | _KEEP_ALIVE)
        self.close_connection = bool(closes)
        return not flags & _EXPECTS or self.handle_expect_100()

    def _framing(self, *, trusted: bool = True) -> tuple[int, int]:
        """
        Return flags of the request and the length of its body, -1 for none.

        Read from ``command``, ``request_version`` and ``headers`` as they are now, whoever
        has set them: a subclass may parse requests itself, or change what was parsed.
        With `trusted`, ``close_connection`` says what a suspicious framing comes to.

        Raises:
            HttpRefusal: If they can be understood in two ways.
        """
        fields = [
            (name, str(value))
            for name, value in self.headers.items()
            if name.lower() in _FRAMING
        ]
        is_old = self.request_version in ("HTTP/1.0", "HTTP/0.9", "")
        framing: tuple[int, int] = _core.http_framing(
            self.command or "", 0 if is_old else 1, fields, self.reject_bad_requests,
            trusted,
        )  # fmt: skip
        return framing

    def handle_expect_100(self) -> bool:
        """
        Leave it to the application's first read to send "100 Continue".

        Returns:
            Whether the request is served.
        """
        return True

    def formalize_key_naming(self, k: str) -> str | None:
        """
        Return the key of a header in ``environ``, without ``HTTP_``; None to leave it out.

        Names with an underscore are left out: they would be taken for those with a
        hyphen at the same place, which a proxy may have set or checked.
        """
        if "_" in k:
            return None
        return k.replace("-", "_").upper()

    def get_environ(self) -> dict[str, Any]:
        """
        Return ``environ`` for the request that was read.
        """
        environ = self._of_connection(self.server.get_environ())
        environ["REQUEST_METHOD"] = self.command
        path, question, query = self.path.partition("?")
        environ["RAW_PATH_INFO"] = path
        environ["PATH_INFO"] = unquote(path, encoding="latin-1")
        if question:
            environ["QUERY_STRING"] = query
        environ["SERVER_PROTOCOL"] = self.request_version
        content_type = self.headers.get("content-type")
        if content_type is None:
            content_type = self.headers.get_content_type()
        environ["CONTENT_TYPE"] = content_type
        length = self.headers.get("content-length")
        if length is not None:
            environ["CONTENT_LENGTH"] = length
        raw = tuple(
            (name, value.strip(" \t\r\n")) for name, value in self.headers.items()
        )
        environ["headers_raw"] = raw
        given: dict[str, str] = {}
        for name, value in raw:
            key = self.formalize_key_naming(name)
            if key and key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                key = f"HTTP_{key}"
                joint = "; " if key == "HTTP_COOKIE" else ","
                given[key] = f"{given[key]}{joint}{value}" if key in given else value
        environ.update(given)
        body = self._body(*self._framing())
        environ["wsgi.input"] = environ["eventlet.input"] = body
        environ["eventlet.posthooks"] = []
        environ["eventlet.set_idle"] = self._set_idle
        return environ

    def handle_one_response(self) -> None:
        """
        Have the application serve the request in ``environ``. Switch point.
        """
        began = time.time()
        environ = self.environ
        flags, length = self._framing()
        if self.close_connection:
            flags |= _CLOSE
        body = environ.get("eventlet.input") or environ.get("wsgi.input")
        if not isinstance(body, Input):
            # Of a subclass's own making: nobody can tell how much of it was read.
            body = self._body(0, -1)
            flags |= _CLOSE if length > 0 or flags & _CHUNKED else 0
        exchange = Exchange(cast("HttpProtocol", self), environ, body, flags)
        if exchange.run(self.application):
            self.close_connection = True
        exchange.run_posthooks()
        if self.server.log_output:
            exchange.log(began)
