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
from eventlet._wsgi.protocol import (
    STATE_CLOSE,
    STATE_IDLE,
    STATE_REQUEST,
    FileObjectForHeaders,
    HeaderLineTooLong,
    HeadersTooLarge,
)
from eventlet.timeout import Timeout
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlet._wsgi.connection import HttpProtocol
    from eventlet._wsgi.protocol import Input

__all__ = ["GONE", "Steps"]

_CLOSE: int = _core.HTTP_CLOSE
_NEW: int = _core.HTTP_NEW
_EXPECTS: int = _core.HTTP_EXPECTS
_KEEP_ALIVE: int = _core.HTTP_KEEP_ALIVE

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
        conn_state: Any
        connection: Any
        header_timeout: float | None
        headers: Any
        rfile: Any
        server: Any
        timeout: float | None
        _body: Callable[[int, int], Input]
        _message: Callable[[Any], Any]
        _of_connection: Callable[[dict[str, Any]], dict[str, Any]]
        _refuse: Callable[[int, str, str], None]
        _set_idle: Callable[[], None]

        @property
        def _idle(self) -> float | None: ...

    def handle_one_request(self) -> None:
        """
        Read one request and have it served. Switch point.
        """
        if self.conn_state[2] is STATE_CLOSE:
            self.close_connection = True
            return
        try:
            there = self._await_request()
        except OSError as error:
            if error.errno not in GONE:
                raise
            there = False
        if not there:
            self.close_connection = True
            return
        limit = self.header_timeout
        if limit is None:
            parsed = self._read_head()
        else:
            with Timeout(limit, TimeoutError("timed out")):
                parsed = self._read_head()
        self._requested = True
        if not parsed:
            self.close_connection = True
            return
        if self.conn_state[2] is not STATE_CLOSE:
            self.conn_state[2] = STATE_REQUEST
        self.environ = self.get_environ()
        self.application = self.server.app
        self.handle_one_response()
        if self.conn_state[2] is not STATE_CLOSE:
            self.conn_state[2] = STATE_IDLE

    def _await_request(self) -> bool:
        """Wait for a request's first byte; False at the end. Switch point."""
        peek = getattr(self.rfile, "peek", None)
        if peek is None:
            # Without a buffer a byte cannot be waited for and left where it is.
            return True
        idle = self._idle
        if idle == self.timeout:
            return bool(peek(1))
        self.connection.settimeout(idle)
        try:
            return bool(peek(1))
        finally:
            if self.connection.fileno() >= 0:
                self.connection.settimeout(self.timeout)

    def _read_head(self) -> bool:
        """Read a head; False if there is none, or none that is served. Switch point."""
        limit = self.server.url_length_limit
        for _ in range(8):
            self.raw_requestline = self.rfile.readline(limit + 1)
            # Empty lines before a request are skipped, but not for ever.
            if self.raw_requestline != b"\r\n":
                break
        if not self.raw_requestline:
            return False
        if len(self.raw_requestline) > limit:
            self._refuse(414, "Request URI Too Long", "")
            return False
        rfile = self.rfile
        self.rfile = FileObjectForHeaders(rfile)
        try:
            return self.parse_request()
        except HeaderLineTooLong:
            self._refuse(400, "Header Line Too Long", "")
        except HeadersTooLarge:
            self._refuse(400, "Headers Too Large", "")
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
        self.command = ""
        try:
            method, path, minor, headers, flags, length = _core.http_parse(
                b"".join(lines), self.reject_bad_requests
            )
        except _core.HttpRefusal as refusal:
            self._refuse(*refusal.args)
            return False
        self.command = method
        self.path = path
        self.request_version = f"HTTP/1.{minor}"
        self.headers = self._message(headers)
        self._flags, self._length = flags, length
        closes = flags & _CLOSE or not flags & (_NEW | _KEEP_ALIVE)
        self.close_connection = bool(closes)
        return not flags & _EXPECTS or self.handle_expect_100()

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
                given[key] = f"{given[key]},{value}" if key in given else value
        environ.update(given)
        body = self._body(self._flags, self._length)
        environ["wsgi.input"] = environ["eventlet.input"] = body
        environ["eventlet.posthooks"] = []
        environ["eventlet.set_idle"] = self._set_idle
        return environ

    def handle_one_response(self) -> None:
        """
        Have the application serve the request in ``environ``. Switch point.
        """
        began = time.time()
        exchange = Exchange(
            cast("HttpProtocol", self),
            self.environ,
            self.environ["eventlet.input"],
            self._flags,
        )
        if exchange.run(self.application):
            self.close_connection = True
        exchange.run_posthooks()
        if self.server.log_output:
            exchange.log(began)
