"""
A connection that speaks the standard, on its green socket.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from eventlet.event import Event
from eventlet.green import socket
from eventlet.greenio import GreenSocket
from eventlet.timeout import Timeout
from eventlet_asyncio import _core

from .connection import ACCEPTABLE_CLIENT_ERRORS, IDLE_READ, LARGE_READ, WebSocket
from .errors import ConnectionClosedError, FailedConnectionError
from .messages import Message as _Message
from .messages import UTF8Decoder as _UTF8Decoder
from .session import DEFAULT_MAX_FRAME_LENGTH, Session

__all__ = ["RFC6455WebSocket"]

_REPLACEABLE = {"recv", "recv_into", "send", "sendall", "_trampoline"}
_urandom = os.urandom


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
        max_frame_length: How many bytes a frame may have, and a message unless
            `max_message_length` is set.
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
        # The socket, if native code may use its descriptor: nobody can tell.
        self._plain: Any = sock if _is_plain(sock) else None
        # Whether nothing more is to be heard from the peer.
        self._ended = False
        # Green threads that are in `wait`: they hear what the peer says.
        self._hearing = 0
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
    def max_frame_length(self) -> int:
        """
        How many bytes a frame may have.
        """
        return self._reader.max_frame_length

    @max_frame_length.setter
    def max_frame_length(self, length: int) -> None:
        self._reader.max_frame_length = length

    @property
    def max_message_length(self) -> int:
        """
        How many bytes a message may have, in however many frames and decompressed.

        Never less than `max_frame_length`.
        """
        return self._session.max_message_length

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
            sock = self.socket
            if kw:
                frame = self._pack_message(message, **{"masked": self.client, **kw})
            elif self._plain is sock and self._send_directly(sock, message):
                return
            else:
                frame = self._session.message_frame(message, masked=self.client)
            try:
                sock.sendall(frame)
            except BaseException:
                # Some of the frame may be under way, and nothing can come behind that.
                self.websocket_closed = True
                raise

    def _send_directly(self, sock: Any, message: Any) -> bool:
        """Send a message without the objects between it and the socket; False if it cannot be."""
        session = self._session
        if session.deflater is not None or sock.act_non_blocking:
            return False
        key = _urandom(4) if self.client else None
        try:
            return _core.websocket_send(sock._fileno, sock._timeout, message, key)
        except UnicodeEncodeError:
            raise
        except BaseException:
            # As above.
            self.websocket_closed = True
            raise

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
        if self.websocket_closed:
            # Who has closed it hears the peer out, and drops what it says.
            return None
        self._hearing += 1
        try:
            while True:
                event = self._next_event()
                if not isinstance(event, tuple):
                    # A message, as most events are, or the end.
                    return event
                try:
                    message = self._react(event)
                except FailedConnectionError as error:
                    self._refuse(error)
                    return None
                if message is not None and not self.websocket_closed:
                    return message
        finally:
            self._stop_hearing()

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

    def _next_event(self) -> str | bytes | tuple[int, Any, int] | None:
        """Return what has arrived, None for the end."""
        reader = self._reader
        sock = self.socket
        if self._plain is sock and not (
            self._ended or self.websocket_closed or sock.act_non_blocking
        ):
            try:
                event = reader.receive(sock._fileno, sock._timeout)
            except OSError as error:
                self._absence(error)
                event = None
            if event is None:
                self._note_end()
                return None
        else:
            if not getattr(sock, "act_non_blocking", False):
                _core.pay_operation()
            event = reader.next()
        while True:
            if event is not None:
                if self.websocket_closed and not isinstance(event, tuple):
                    # Too late: the end was announced.
                    event = reader.next()
                    continue
                return event
            if self._ended or (self.websocket_closed and self._heard_end is None):
                return None
            missing = reader.missing()
            size = IDLE_READ if missing < IDLE_READ else min(missing, LARGE_READ)
            try:
                data = self.socket.recv(size)
            except OSError as error:
                data = self._absence(error)
            if not data:
                self._note_end()
                return None
            event = reader.read(data)

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
        if self.websocket_closed:
            raise ConnectionClosedError
        self._hearing += 1
        try:
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
        finally:
            self._stop_hearing()

    def _pack_message(
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

    def _stop_hearing(self) -> None:
        """Leave `wait`, killed or timed out perhaps."""
        self._hearing -= 1
        if self._heard_end is not None and not self._hearing:
            # Nobody is left who could hear the end.
            self._note_end()

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
                if raw:
                    while sock.recv(LARGE_READ):
                        pass
                elif self._heard_end is not None:
                    # Another green thread closes it, too.
                    self._heard_end.wait()
                else:
                    self._heard_end = Event()
                    if self._hearing:
                        # One that is in `wait` hears it.
                        self._heard_end.wait()
                    while (event := self._next_event()) is not None:
                        self._react(event)
            except (OSError, FailedConnectionError):
                # Nobody is there, or nobody who could be understood.
                pass
            finally:
                self._note_end()
        self._note_end()


def _is_plain(sock: Any) -> bool:
    """Say whether a socket is a green one of which no method was replaced."""
    return type(sock) is GreenSocket and not _REPLACEABLE & sock.__dict__.keys()


RFC6455WebSocket.__module__ = "eventlet.websocket"
