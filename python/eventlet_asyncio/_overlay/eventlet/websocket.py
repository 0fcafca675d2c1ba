"""
WebSocket connections for WSGI applications.

`WebSocketWSGI` makes a WSGI application of a function that is given a connection: a
`WebSocket`, or an `RFC6455WebSocket` for the protocol that is the standard today.

Any green thread may send, and each message goes out whole. One at a time may wait for
messages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet import wsgi
from eventlet._websocket import handshake
from eventlet._websocket.connection import (
    ACCEPTABLE_CLIENT_ERRORS,
    IDLE_READ,
    WebSocket,
)
from eventlet._websocket.errors import (
    BadRequest,
    ConnectionClosedError,
    FailedConnectionError,
    ProtocolError,
)
from eventlet._websocket.handshake import PROTOCOL_GUID
from eventlet._websocket.rfc6455 import RFC6455WebSocket
from eventlet._websocket.session import (
    DEFAULT_MAX_FRAME_LENGTH,
    VALID_CLOSE_STATUS,
)
from eventlet.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "ACCEPTABLE_CLIENT_ERRORS",
    "DEFAULT_MAX_FRAME_LENGTH",
    "PROTOCOL_GUID",
    "VALID_CLOSE_STATUS",
    "BadRequest",
    "ConnectionClosedError",
    "FailedConnectionError",
    "ProtocolError",
    "RFC6455WebSocket",
    "WebSocket",
    "WebSocketWSGI",
]


class WebSocketWSGI:
    """
    A WSGI application that calls a function with each connection.

    Usable as a decorator::

        @websocket.WebSocketWSGI
        def echo(ws):
            while (message := ws.wait()) is not None:
                ws.send(message)

    The connection is closed when the function returns.

    Args:
        handler: Called with a `WebSocket`.
        max_frame_length: How many bytes a frame may have. Larger ones end the
            connection with status 1009.
        max_message_length: How many bytes a message may have, in however many frames it
            comes and decompressed; `max_frame_length` if None, and never less than that.
        compression: Whether messages are compressed where the client offers it.
    """

    def __init__(
        self,
        handler: Callable[[Any], Any],
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        max_message_length: int | None = None,
        compression: bool = True,
    ) -> None:
        self.handler = handler
        self.protocol_version: int | None = None
        self.support_legacy_versions = True
        self.supported_protocols: Iterable[str] = []
        self.origin_checker: Callable[[Any, Any], Any] | None = None
        self.max_frame_length = max_frame_length
        self.max_message_length = max_message_length
        self.compression = compression

    @classmethod
    def configured(
        cls,
        handler: Callable[[Any], Any] | None = None,
        supported_protocols: Iterable[str] | None = None,
        origin_checker: Callable[[Any, Any], Any] | None = None,
        support_legacy_versions: bool = False,
        compression: bool = True,
    ) -> Any:
        """
        Make an application with options, or a decorator that does.

        Args:
            handler: Called with a `WebSocket`; a decorator is returned without it.
            supported_protocols: Subprotocols; the first that a client asks for and that
                is among them is chosen.
            origin_checker: Called with the headers Host and Origin of a request; if it
                returns something false, the client gets status 403.
            support_legacy_versions: Whether to speak the drafts hixie-75 and hixie-76.
            compression: Whether messages are compressed where the client offers it.
        """

        def decorator(handler: Callable[[Any], Any]) -> WebSocketWSGI:
            application = cls(handler)
            if supported_protocols is not None:
                application.supported_protocols = supported_protocols
            application.origin_checker = origin_checker
            application.support_legacy_versions = support_legacy_versions
            application.compression = compression
            return application

        return decorator if handler is None else decorator(handler)

    def __call__(
        self, environ: dict[str, Any], start_response: Callable[..., Any]
    ) -> Iterable[bytes]:
        """
        Serve a request: shake hands, call the handler, close the connection.

        Switch point.

        Raises:
            RuntimeError: If the server gives no access to its socket.
            BaseException: What the handler raises, unless it says that the client has
                gone.
        """
        try:
            accepted, early = self._shake_hands(environ)
        except BadRequest as error:
            start_response(error.status, error.headers or [("Connection", "close")])
            return [error.body or b""]
        sock = _socket_of(environ)
        ws = self._connection(sock, environ, accepted)
        try:
            sock.sendall(accepted.response)
            if early:
                ws._feed(early)
            environ.get("eventlet.set_idle", _nothing)()
            self.handler(ws)
        except (Exception, Timeout) as error:
            if not _has_gone(error):
                # No response can follow: the connection is closed when this returns.
                ws._end(1011, "Internal Server Error")
                raise
        except BaseException:
            ws.close_timeout = 0.0
            ws._end(1001, "")
            raise
        ws._end()
        wsgi.WSGI_LOCAL.already_handled = True
        return wsgi.ALREADY_HANDLED

    def _shake_hands(self, environ: dict[str, Any]) -> tuple[handshake.Accepted, bytes]:
        """Return how the request is answered, and what the client sent behind it."""
        terms = handshake.Terms(
            self.supported_protocols,
            self.origin_checker,
            self.support_legacy_versions,
            self.compression,
        )
        version = handshake.legacy_version(environ, terms)
        if version is None:
            return handshake.answer(environ, terms), _buffered(environ)
        if version == 75:
            accepted = handshake.answer_legacy(environ, terms, version)
            return accepted, _buffered(environ)
        data = _buffered(environ)
        while len(data) < handshake.KEY3_LENGTH:
            more = _socket_of(environ).recv(IDLE_READ)
            if not more:
                break
            data += more
        key3, early = data[: handshake.KEY3_LENGTH], data[handshake.KEY3_LENGTH :]
        return handshake.answer_legacy(environ, terms, version, key3), early

    def _connection(
        self,
        sock: Any,
        environ: dict[str, Any],
        accepted: handshake.Accepted,
    ) -> WebSocket:
        ws: WebSocket
        if accepted.version in (75, 76):
            ws = WebSocket(sock, environ, accepted.version)
            ws.protocol = accepted.protocol
            ws.max_frame_length = self.max_frame_length
        else:
            ws = RFC6455WebSocket(
                sock,
                environ,
                accepted.version,
                protocol=accepted.protocol,
                extensions=accepted.extensions,
                max_frame_length=self.max_frame_length,
            )
            if self.max_message_length is not None:
                ws.max_message_length = self.max_message_length
        return ws


def _has_gone(error: BaseException) -> bool:
    """Say whether an exception of the handler means that the client has gone."""
    if not isinstance(error, OSError):
        return False
    code = error.errno if error.errno is not None else (*error.args, None)[0]
    return code in ACCEPTABLE_CLIENT_ERRORS


def _nothing() -> None:
    """Stand in for a callable that a server does not offer."""


def _socket_of(environ: dict[str, Any]) -> Any:
    """Return the connection's socket."""
    if "eventlet.input" in environ:
        return environ["eventlet.input"].get_socket()
    if "gunicorn.socket" in environ:
        return environ["gunicorn.socket"]
    raise RuntimeError(
        "the server gives no access to its socket: serve websockets with eventlet.wsgi,"
        " or with gunicorn and an eventlet worker"
    )


def _buffered(environ: dict[str, Any]) -> bytes:
    """Return what the server has received behind the request's head."""
    body = environ.get("eventlet.input", environ.get("wsgi.input"))
    take = getattr(body, "take_buffered", None)
    if take is not None:
        early: bytes = take()
        return early
    if "HTTP_SEC_WEBSOCKET_KEY1" in environ and "wsgi.input" in environ:
        key3: bytes = environ["wsgi.input"].read(handshake.KEY3_LENGTH)
        return key3
    return b""
