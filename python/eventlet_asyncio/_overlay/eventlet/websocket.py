"""
WebSocket connections for WSGI applications.

`WebSocketWSGI` makes a WSGI application of a function that is given a connection. The
protocol is in `eventlet._websocket`, where it knows no sockets; here are the sockets, and
the order in which green threads use them.

Any green thread may send, and each message goes out whole. One at a time may wait for
messages.
"""

from __future__ import annotations

import errno
import sys
from collections import deque
from typing import TYPE_CHECKING, Any

from eventlet import wsgi
from eventlet._websocket import handshake, legacy
from eventlet._websocket.errors import (
    BadRequest,
    ConnectionClosedError,
    FailedConnectionError,
    ProtocolError,
)
from eventlet._websocket.handshake import PROTOCOL_GUID
from eventlet._websocket.messages import Message as _Message
from eventlet._websocket.messages import UTF8Decoder as _UTF8Decoder
from eventlet._websocket.session import (
    DEFAULT_MAX_FRAME_LENGTH,
    DEFAULT_MAX_MESSAGE_LENGTH,
    VALID_CLOSE_STATUS,
    Session,
)
from eventlet.event import Event
from eventlet.green import socket
from eventlet.semaphore import Semaphore
from eventlet.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = [
    "ACCEPTABLE_CLIENT_ERRORS",
    "DEFAULT_MAX_FRAME_LENGTH",
    "DEFAULT_MAX_MESSAGE_LENGTH",
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

#: Errors of a socket whose other end has gone: the end of a connection, no failure.
ACCEPTABLE_CLIENT_ERRORS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ESHUTDOWN})
# What a socket says besides that, after it was closed on this side.
_CLOSED_HERE = ACCEPTABLE_CLIENT_ERRORS | {errno.EBADF, errno.ENOTCONN}

# Bytes asked for at once: while waiting, so many are held for each connection; and while
# the rest of a large frame is on its way.
_IDLE_READ = 8 << 10
_LARGE_READ = 256 << 10


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
        max_frame_length: How many bytes a frame may have, and its message when it is
            decompressed. Larger ones end the connection with status 1009.
        max_message_length: How many bytes a message may have that comes in several
            frames; never less than `max_frame_length`.
    """

    def __init__(
        self,
        handler: Callable[[Any], Any],
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
        max_message_length: int = DEFAULT_MAX_MESSAGE_LENGTH,
    ) -> None:
        self.handler = handler
        self.protocol_version: int | None = None
        self.support_legacy_versions = True
        self.supported_protocols: Iterable[str] = []
        self.origin_checker: Callable[[Any, Any], Any] | None = None
        self.max_frame_length = max_frame_length
        self.max_message_length = max_message_length

    @classmethod
    def configured(
        cls,
        handler: Callable[[Any], Any] | None = None,
        supported_protocols: Iterable[str] | None = None,
        origin_checker: Callable[[Any, Any], Any] | None = None,
        support_legacy_versions: bool = False,
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
        """

        def decorator(handler: Callable[[Any], Any]) -> WebSocketWSGI:
            application = cls(handler)
            if supported_protocols is not None:
                application.supported_protocols = supported_protocols
            application.origin_checker = origin_checker
            application.support_legacy_versions = support_legacy_versions
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
            self.supported_protocols, self.origin_checker, self.support_legacy_versions
        )
        version = handshake.legacy_version(environ, terms)
        if version is None:
            return handshake.answer(environ, terms), _buffered(environ)
        if version == 75:
            accepted = handshake.answer_legacy(environ, terms, version)
            return accepted, _buffered(environ)
        data = _buffered(environ)
        while len(data) < handshake.KEY3_LENGTH:
            more = _socket_of(environ).recv(_IDLE_READ)
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
    body = environ.get("eventlet.input")
    take = getattr(body, "take_buffered", None)
    if take is not None:
        data: bytes = take()
        return data
    if "HTTP_SEC_WEBSOCKET_KEY1" in environ and "wsgi.input" in environ:
        data = environ["wsgi.input"].read(handshake.KEY3_LENGTH)
        return data
    return b""


class WebSocket:
    """
    A connection that speaks hixie-75 or hixie-76, and what all connections have.

    Args:
        sock: A green socket.
        environ: The WSGI environment of the request.
        version: 75 or 76.

    Attributes:
        environ: The WSGI environment of the request.
        log: Where trouble with closing the connection is reported.
        origin: The request's origin, None if it named none.
        path: The path that was asked for.
        protocol: The subprotocol that was agreed on, or None.
        socket: The green socket.
        version: The protocol's version: 8 or 13 for RFC 6455.
        websocket_closed: Whether the end was announced to the peer.
    """

    #: Seconds that `close` and the end of a connection wait for the peer.
    close_timeout: float = 1.0

    max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH

    def __init__(self, sock: Any, environ: dict[str, Any], version: int = 76) -> None:
        self.log = environ.get("wsgi.errors", sys.stderr)
        self.socket = sock
        self.origin = environ.get("HTTP_ORIGIN")
        self.protocol = environ.get("HTTP_WEBSOCKET_PROTOCOL")
        self.path = environ.get("PATH_INFO")
        self.environ = environ
        self.version = version
        self.websocket_closed = False
        self._buf = b""
        self._msgs: deque[Any] = deque()
        self._sendlock = Semaphore()

    @property
    def log_context(self) -> str:
        """
        Which connection this is, for the log.
        """
        get = self.environ.get
        return (
            f"server={get('HTTP_HOST')}/{self.path or ''}"
            f" client={get('REMOTE_ADDR')}:{get('REMOTE_PORT')}"
        )

    # Messages

    def send(self, message: Any) -> None:
        """
        Send a message; what is no data is sent as text. Switch point.

        Raises:
            BrokenPipeError: If the connection is closed.
            OSError: If it breaks.
            ValueError: If data has the byte that ends a message.
        """
        with self._sendlock:
            self._send(self._pack_message(message))

    def wait(self) -> Any:
        """
        Wait for the next message. Switch point.

        Returns:
            The message, or None if the connection has ended. An empty message is "".

        Raises:
            ValueError: If what was received is no message of this protocol.
            OSError: If the connection breaks.
        """
        while not self._msgs:
            if self.websocket_closed:
                return None
            data = self._receive(_IDLE_READ)
            if not data:
                return None
            self._feed(data)
        message = self._msgs.popleft()
        if message is None:
            # The end, which stays the end.
            self._msgs.appendleft(None)
        return message

    def close(self) -> None:
        """
        Close the connection. Switch point.

        Rarely needed: returning from the handler does it.
        """
        self._send_closing_frame(True)
        self._close_socket()

    # Bytes

    def _pack_message(self, message: Any) -> bytes:
        return legacy.pack(message)

    def _feed(self, data: bytes) -> None:
        """Take received bytes apart."""
        self._buf = legacy.parse(
            self._buf + data, self._msgs, self.version, self.max_frame_length
        )

    def _send(self, frame: bytes) -> None:
        """Send a frame; the caller has the lock."""
        if self.websocket_closed:
            raise BrokenPipeError(errno.EPIPE, "the websocket is closed")
        try:
            self.socket.sendall(frame)
        except BaseException:
            # Some of the frame may be under way, and nothing can come behind that.
            self.websocket_closed = True
            raise

    def _receive(self, size: int) -> bytes:
        """Return what the peer sent, b"" for the end."""
        try:
            data: bytes = self.socket.recv(size)
        except OSError as error:
            expected = (
                _CLOSED_HERE if self.websocket_closed else ACCEPTABLE_CLIENT_ERRORS
            )
            if error.errno not in expected:
                raise
            return b""
        return data

    # The end

    def _send_closing_frame(self, ignore_send_errors: bool = False) -> None:
        self._announce(legacy.CLOSE if self.version == 76 else b"", ignore_send_errors)

    def _announce(self, frame: bytes, ignore_send_errors: bool) -> None:
        """Send the last frame, unless the peer takes nothing."""
        if self.websocket_closed:
            return
        # Somebody else may be sending, to a peer that does not read.
        with Timeout(self.close_timeout, False), self._sendlock:
            if self.websocket_closed:
                return
            try:
                if frame:
                    self._send(frame)
            except OSError:
                if not ignore_send_errors:
                    raise
        self.websocket_closed = True

    def _end(self, code: int | None = None, reason: str = "") -> None:
        """End the connection after the handler, with a status where the version has one."""
        self.close()

    def _close_socket(self) -> None:
        sock = self.socket
        try:
            # Wakes a green thread that waits, and ends the connection even where others
            # hold the socket.
            sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno not in _CLOSED_HERE:
                self.log.write(f"{self.log_context} socket shutdown error: {error}\n")
        sock.close()


class RFC6455WebSocket(WebSocket):
    """
    A connection that speaks RFC 6455.

    Usable for the client's side too, on a socket over which the handshake was made.

    Args:
        sock: A green socket.
        environ: The WSGI environment of the request; {} for a client.
        version: 8 or 13.
        protocol: The subprotocol that was agreed on.
        client: Whether this is the client's side.
        extensions: The extensions that were agreed on: parameters by name.
        max_frame_length: How many bytes a frame may have, and its message when it is
            decompressed.
    """

    UTF8Decoder = _UTF8Decoder
    Message = _Message

    def __init__(
        self,
        sock: Any,
        environ: dict[str, Any],
        version: int = 13,
        protocol: str | None = None,
        client: bool = False,
        extensions: dict[str, Any] | None = None,
        max_frame_length: int = DEFAULT_MAX_FRAME_LENGTH,
    ) -> None:
        super().__init__(sock, environ, version)
        self.protocol = protocol
        self.client = client
        self._session = Session(
            client=client,
            extensions=extensions,
            max_frame_length=max_frame_length,
            message_class=self.Message,
            decoder_class=self.UTF8Decoder,
        )
        self._reader = self._session.reader
        # Whether nothing more is to be heard from the peer.
        self._ended = False
        # Green threads that wait for bytes.
        self._receiving = 0
        # There while the peer is heard out; sent when it has nothing more to say.
        self._heard_end: Event | None = None

    @property
    def extensions(self) -> dict[str, Any]:
        """
        The extensions in use: parameters by name.
        """
        return self._session.extensions

    @extensions.setter
    def extensions(self, extensions: dict[str, Any]) -> None:
        self._session.extensions = extensions

    @property
    def max_frame_length(self) -> int:  # type: ignore[override]
        """
        How many bytes a frame may have, and its message when it is decompressed.
        """
        return self._reader.max_frame_length

    @max_frame_length.setter
    def max_frame_length(self, length: int) -> None:
        self._reader.max_frame_length = length

    @property
    def max_message_length(self) -> int:
        """
        How many bytes a message of several frames may have.
        """
        return self._reader.max_message_length

    @max_message_length.setter
    def max_message_length(self, length: int) -> None:
        self._reader.max_message_length = length

    @property
    def _remote_close_data(self) -> bytes | None:
        """The payload of the peer's close frame."""
        return self._session.remote_close_data

    # Messages

    def send(self, message: Any, **kw: Any) -> None:
        """
        Send a message: str as text, bytes and the like as data. Switch point.

        Args:
            message: What to send.
            **kw: For a message in parts ``final=False`` on all but the last one and
                ``continuation=True`` on all but the first one. For a control frame
                ``control_code``, its opcode: 9 is a ping.

        Raises:
            BrokenPipeError: If the connection is closed.
            OSError: If it breaks.
            ProtocolError: For a control frame that is too long or in parts.
            TypeError: If it is neither text nor data.
        """
        # The frame is made with the lock held: what is compressed goes out in order.
        with self._sendlock:
            if self.websocket_closed:
                raise BrokenPipeError(errno.EPIPE, "the websocket is closed")
            kw.setdefault("masked", self.client)
            self._send(self._pack_message(message, **kw))

    def wait(self) -> str | bytes | None:
        """
        Wait for the next message. Switch point.

        Pings are answered on the way. A peer that breaks the protocol is told why, and
        the connection is closed.

        Returns:
            str for text, bytes for data, None if the connection has ended.

        Raises:
            OSError: If the connection breaks.
        """
        while True:
            event = self._next_event()
            if type(event) is not tuple:
                # A message, as most events are, or the end.
                return event
            try:
                message = self._react(event)
            except FailedConnectionError as error:
                self._refuse(error)
                return None
            if message is not None:
                return message

    def close(self, close_data: tuple[int, str | bytes] | None = None) -> None:
        """
        Close the connection. Switch point.

        Waits for the peer's close frame, for `close_timeout` seconds at most. Rarely
        needed: returning from the handler closes the connection.

        Args:
            close_data: A status code and a reason; neither is sent without it.

        Raises:
            ProtocolError: For a code that may not be sent, or a reason that is too long.
        """
        self._send_closing_frame(True, close_data)
        self._hear_out()
        self._close_socket()

    # Events

    def _feed(self, data: bytes) -> None:
        self._reader.feed(data)

    def _next_event(self) -> Any:
        """Return what has arrived, None for the end."""
        reader = self._reader
        while True:
            event = reader.next()
            if event is not None:
                if self.websocket_closed and type(event) is not tuple:
                    # Too late: the end was announced.
                    continue
                return event
            if self._ended or (self.websocket_closed and self._heard_end is None):
                return None
            missing = reader.missing()
            size = _IDLE_READ if missing < _IDLE_READ else min(missing, _LARGE_READ)
            self._receiving += 1
            try:
                data = self._receive(size)
            finally:
                self._receiving -= 1
            if not data:
                self._note_end()
                return None
            reader.feed(data)

    def _react(self, event: Any) -> str | bytes | None:
        """Do what an event asks for; return the message if it is one."""
        reaction = self._session.react(event)
        if reaction.close is not None:
            self._note_end()
            # Unless it answers ours.
            if not self.websocket_closed:
                self._send_closing_frame(True, reaction.close)
                self._close_socket()
        elif self.websocket_closed:
            return None
        elif reaction.frame:
            try:
                with self._sendlock:
                    self._send(reaction.frame)
            except OSError as error:
                if error.errno not in ACCEPTABLE_CLIENT_ERRORS:
                    raise
        return reaction.message

    def _recv_frame(self, message: Any = None) -> Any:
        """
        Return the next message as a `Message`, still compressed if it came so.

        Raises:
            ConnectionClosedError: If the connection has ended.
            FailedConnectionError: If the peer broke the protocol.
        """
        while (event := self._next_event()) is not None:
            if isinstance(event, str):
                found = self.Message(1, self.max_frame_length, self.UTF8Decoder())
                found.push(event.encode(), final=True)
                return found
            if isinstance(event, bytes):
                found = self.Message(2, self.max_frame_length)
                found.push(event, final=True)
                return found
            if event[0] in (1, 2):
                return self._session.compressed(event)
            self._react(event)
        raise ConnectionClosedError

    def _pack_message(  # type: ignore[override]
        self,
        message: Any,
        masked: bool = False,
        continuation: bool = False,
        final: bool = True,
        control_code: int | None = None,
    ) -> bytes:
        return self._session.message_frame(
            message,
            masked=masked,
            continuation=continuation,
            final=final,
            control_code=control_code,
        )

    # The end

    def _send_closing_frame(
        self,
        ignore_send_errors: bool = False,
        close_data: tuple[int, str | bytes] | None = None,
    ) -> None:
        self._announce(self._session.close_frame(close_data), ignore_send_errors)

    def _refuse(self, error: FailedConnectionError) -> None:
        """End the connection of a peer that broke the protocol."""
        self._send_closing_frame(True, (error.status, error.message))
        self._hear_out(raw=True)
        self._note_end()
        self._close_socket()

    def _end(self, code: int | None = None, reason: str = "") -> None:
        self.close(None if code is None else (code, reason))

    def _note_end(self) -> None:
        """Nothing more is to be heard from the peer."""
        self._ended = True
        if self._heard_end is not None and not self._heard_end.ready():
            self._heard_end.send()

    def _hear_out(self, *, raw: bool = False) -> None:
        """
        Let the peer finish, for a limited time.

        A socket that is closed with bytes left to read sends a reset, and the peer may
        lose the close frame to it.

        Args:
            raw: Whether what arrives cannot be understood any more.
        """
        sock = self.socket
        if self._ended or sock is None:
            return
        with Timeout(self.close_timeout, False):
            try:
                # A TLS socket would lose its encryption with this.
                if not hasattr(sock, "do_handshake"):
                    sock.shutdown(socket.SHUT_WR)
                if self._receiving:
                    # Another green thread hears it.
                    self._heard_end = Event()
                    self._heard_end.wait()
                elif raw:
                    while sock.recv(_LARGE_READ):
                        pass
                else:
                    self._heard_end = Event()
                    while (event := self._next_event()) is not None:
                        self._react(event)
            except (OSError, FailedConnectionError):
                # Nobody is there, or nobody who could be understood.
                pass
        self._ended = True
