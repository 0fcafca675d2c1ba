"""
One request and its response: runs the application and sends what it returns.

Data is held back until there is a reasonable piece of it, so head and body leave in one
packet most of the time. An application that fails before anything was sent gives a
response of its own (500); one that fails later only ends the connection, since nothing
else tells a client that the body is incomplete.
"""

from __future__ import annotations

import time
import traceback
from typing import TYPE_CHECKING, Any

from eventlet._wsgi.limits import BodyTimeout
from eventlet._wsgi.log import note
from eventlet._wsgi.protocol import (
    STATE_CLOSE,
    BodyTooLarge,
    encode_header_line,
    is_closed,
    plain,
)
from eventlet.corolocal import local
from eventlet.timeout import Timeout
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from eventlet._wsgi.connection import HttpProtocol
    from eventlet._wsgi.protocol import Input

__all__ = ["ALREADY_HANDLED", "WSGI_LOCAL", "Exchange"]

_CLOSE: int = _core.HTTP_CLOSE

# What the framing of a response is, where it is no length.
_CHUNKS = -1
_NO_BODY = -2

# Read at once of a body that nobody wants.
_PIECE = 64 << 10

# What a client is told whose body could not be read.
_STATUSES: dict[type, str] = {
    BodyTimeout: "408 Request Timeout",
    BodyTooLarge: "413 Content Too Large",
}


class _Local(local):
    """
    What an application tells the server beside its result.

    ``already_handled`` set to True: it has dealt with the connection itself, and the
    server sends nothing and closes it.
    """

    @property
    def already_handled(self) -> bool:
        return bool(self.__dict__.get("handled", False))

    @already_handled.setter
    def already_handled(self, value: bool) -> None:
        self.__dict__["handled"] = value
        # Looked at after each request, where a look at the green thread's own values
        # would cost more than all the rest.
        _marks[0] = True


_marks = [False]
WSGI_LOCAL = _Local()


class _AlreadyHandled:
    """What an application may return in place of setting ``already_handled``."""

    def __iter__(self) -> _AlreadyHandled:
        return self

    def __next__(self) -> bytes:
        raise StopIteration


ALREADY_HANDLED = _AlreadyHandled()


class Exchange:
    """
    Runs the application for one request.

    Args:
        protocol: The connection.
        environ: What the application is given.
        body: The request's body.
        flags: What the request's head says.
    """

    __slots__ = (
        "body", "close", "environ", "flags", "framing", "gone", "headers", "left",
        "protocol", "sent", "status", "total",
    )  # fmt: skip

    def __init__(
        self, protocol: HttpProtocol, environ: dict[str, Any], body: Input, flags: int
    ) -> None:
        self.protocol = protocol
        self.environ = environ
        self.body = body
        self.flags = flags
        self.status: Any = None
        self.headers: Any = None
        self.sent = False  # the head
        self.total = 0  # bytes
        self.close = False
        self.gone = False  # the client

    # What the application calls

    def start_response(
        self, status: str, headers: Any, exc_info: Any = None
    ) -> Callable[[Any], None]:
        """
        Set the response's head, as PEP 3333 has it.

        Raises:
            AssertionError: If it was set already and there is no `exc_info`.
            BaseException: That of `exc_info`, if it was sent already.
        """
        if exc_info:
            try:
                if self.sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            msg = (
                "start_response() was called before: call it once, or pass exc_info if"
                " an error is the reason"
            )
            raise AssertionError(msg)
        self.status = status
        self.headers = headers
        return self.write

    def write(self, data: Any) -> None:
        """
        Send a piece of the body. Switch point.
        """
        data = _encoded(data)
        self._send((data,) if data else ())

    # What the connection calls

    def run(self, application: Callable[..., Any]) -> bool:
        """
        Serve the request; return whether the connection ends with it. Switch point.
        """
        try:
            result = application(self.environ, self.start_response)
            if _marks[0] and self._is_handled():
                self._leave()
                _close(result)
            elif type(result) is list and len(result) == 1 and not self.sent:
                self._reply(result[0])
            else:
                try:
                    self._stream(result)
                finally:
                    _close(result)
        except (Exception, Timeout) as error:
            self._fail(error)
        body = self.body
        if (body.chunked_input or body.content_length) and not self.close:
            self._discard()
        return self.close

    def _is_handled(self) -> bool:
        _marks[0] = False
        if not WSGI_LOCAL.already_handled:
            # Set by a request that is still on its way.
            _marks[0] = True
            return False
        WSGI_LOCAL.__dict__.pop("handled", None)
        return True

    def _leave(self) -> None:
        """Leave the connection to the application; the log has it as a success."""
        self.close = True
        self.status = self.status or "200 OK"

    def _reply(self, data: Any) -> None:
        """Send a body that is one piece."""
        if type(data) is not bytes:
            data = _encoded(data)
        protocol = self.protocol
        if not protocol.is_native:
            self._send((data,), known=len(data), last=True)
            return
        self._check_started()
        try:
            total, self.close = _core.http_reply(
                protocol.connection._fileno(), protocol.timeout, self.status, self.headers,
                self._head_flags(), protocol.patience, data,
            )  # fmt: skip
        except OSError:
            self.gone = True
            raise
        except UnicodeEncodeError:
            self._explain()
            raise
        self.sent = True
        self.total += total

    def _stream(self, result: Any) -> None:
        """Send what an iterable gives, in pieces of a reasonable size."""
        if result is ALREADY_HANDLED:
            self._leave()
            return
        if isinstance(result, (bytes, str)):
            # Iterated over it would give numbers, or a response per character.
            result = (result,)
        if isinstance(result, (list, tuple)):
            parts = [_encoded(part) for part in result]
            self._send(parts, known=sum(map(len, parts)), last=True)
            return
        known = None
        if not self.sent and self.status is not None and hasattr(result, "__len__"):
            known = sum(len(_encoded(part)) for part in result)
        environ, usual = self.environ, None
        held: list[bytes] = []
        size = 0
        for part in result:
            data = _encoded(part)
            if not data:
                continue
            held.append(data)
            size += len(data)
            # Asked now: a generator sets both when its first piece is asked for.
            if usual is None:
                usual = 0 if self._is_of_events() else self.protocol.minimum_chunk_size
            least = environ.get("eventlet.minimum_write_chunk_size", usual)
            if size >= least:
                self._send(held, known=known)
                held, size = [], 0
        if not self.sent and not held and _marks[0] and self._is_handled():
            # Known only now: the result is a generator around the one that says so.
            self._leave()
            return
        self._send(held, known=known, last=True)

    def _is_of_events(self) -> bool:
        """Say whether these are server-sent events, of which none may be held back."""
        return any(
            str(name).lower() == "content-type"
            and str(value).lstrip().lower().startswith("text/event-stream")
            for name, value in self.headers or ()
        )

    def _check_started(self) -> None:
        if self.status is None:
            msg = "the application sent data without a call of start_response()"
            raise AssertionError(msg)

    def _head_flags(self) -> int:
        """Return the request's flags with what is known by now."""
        flags = self.flags
        body = self.body
        if body.wfile is not None:
            if body.should_send_hundred_continue and not body.is_read:
                # The client may send the body or not: nobody can tell what comes next.
                flags |= _CLOSE
            # From here on it would come too late.
            body.headers_sent = True
        protocol = self.protocol
        if protocol.conn_state[2] is STATE_CLOSE:
            flags |= _CLOSE
        return flags | protocol.closing

    def _begin(self, known: int | None) -> bytes:
        """Make the head."""
        self._check_started()
        try:
            head, framing, self.close = _core.http_head(
                self.status, self.headers, self._head_flags(), known,
                self.protocol.patience,
            )  # fmt: skip
        except UnicodeEncodeError:
            self._explain()
            raise
        self.framing = framing
        self.left = framing
        self.sent = True
        return head

    def _explain(self) -> None:
        """Raise for the header that cannot be encoded, naming what to do."""
        for header in self.headers:
            encode_header_line(header)

    def _send(
        self, parts: Iterable[bytes], known: int | None = None, last: bool = False
    ) -> None:
        """Send pieces of the body, framed, after the head if that is still due."""
        out: list[bytes] = []
        if not self.sent:
            out.append(self._begin(known))
        framing = self.framing
        if framing == _CHUNKS:
            data = b"".join(parts)
            if data:
                out += (b"%x\r\n" % len(data), data, b"\r\n")
            if last:
                out.append(b"0\r\n\r\n")
        elif framing >= 0:
            for part in parts:
                if len(part) > self.left:
                    # More would be taken for the next response.
                    out.append(part[: self.left])
                    self.left = 0
                    break
                out.append(part)
                self.left -= len(part)
            if last and self.left:
                self.close = True
        elif framing != _NO_BODY:
            out += parts
        if out:
            data = out[0] if len(out) == 1 else b"".join(out)
            try:
                self.protocol.send_bytes(data)
            except OSError:
                self.gone = True
                raise
            self.total += len(data)

    def _fail(self, error: BaseException) -> None:
        """End the exchange after an exception: tell the log, and the client if possible."""
        server = self.protocol.server
        self.close = True
        if self.gone and isinstance(error, OSError):
            note(server.log.debug, f"({server.pid}) connection lost: {error!r}")
            return
        if error is self.body.failure:
            # The client's fault, and not the application's.
            note(server.log.debug, f"({server.pid}) bad request body: {error!r}")
            self._answer(_STATUSES.get(type(error), "400 Bad Request"), b"")
            return
        text = "".join(
            traceback.format_exception(type(error), error, error.__traceback__)
        )
        note(server.log.info, text.rstrip("\n"))
        body = text.encode("utf-8", "backslashreplace") if server.debug else b""
        self._answer("500 Internal Server Error", body)

    def _answer(self, status: str, body: bytes) -> None:
        """Send a response in place of the application's, if there is still time."""
        if self.sent:
            return
        self.status = status
        if is_closed(self.protocol.connection):
            # The application has closed it.
            return
        self.headers = [("Content-Type", "text/plain; charset=utf-8")]
        self.flags |= _CLOSE
        try:
            self._send((body,), known=len(body), last=True)
        except OSError as lost:
            server = self.protocol.server
            note(server.log.debug, f"({server.pid}) connection lost: {lost!r}")
        self.close = True

    def _discard(self) -> None:
        """Read what the application left of the body: the next request is behind it."""
        body = self.body
        left = self.protocol.limits.discard
        try:
            if left is None:
                body.discard()
            elif (
                not body.chunked_input
                and int(body.content_length or 0) > body.position + left
            ):
                # It would not be read to its end.
                left = -1
            while left is not None and not body.is_read and left >= 0:
                left -= len(body.read(_PIECE))
        except (OSError, ValueError):
            pass
        if not body.is_read:
            self.close = True

    def run_posthooks(self) -> None:
        """
        Call what the application asked to be called after the response.
        """
        environ = self.environ
        for hook, args, kwargs in environ.get("eventlet.posthooks") or ():
            try:
                hook(environ, *args, **kwargs)
            except Exception:
                log = self.protocol.server.log
                note(log.info, traceback.format_exc().rstrip("\n"))

    def log(self, began: float) -> None:
        """
        Write the request's line to the log.
        """
        protocol = self.protocol
        server = protocol.server
        host, port = protocol.get_client_address()
        line = server.log_format % {
            "client_ip": plain(host),
            "client_port": port,
            "date_time": protocol.log_date_time_string(),
            "request_line": plain(protocol.requestline),
            "status_code": (self.status or "-").split()[0],
            "body_length": self.total,
            "wall_seconds": time.time() - began,
        }
        note(server.log.info, line)


def _close(result: Any) -> None:
    """Tell an application's iterable that it is not needed any more."""
    close = getattr(result, "close", None)
    if close is not None:
        close()


def _encoded(data: Any) -> bytes:
    """
    Return a piece of the body as bytes: text, which must be ASCII, or what has a buffer.
    """
    if type(data) is bytes:
        return data
    if isinstance(data, str):
        return data.encode("ascii")
    return memoryview(data).tobytes()
