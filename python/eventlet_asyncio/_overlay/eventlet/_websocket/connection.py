"""
A connection on its green socket: what all versions share, and the drafts.

This is the edge: the socket, and the order in which green threads use it. What the bytes
mean is decided elsewhere.
"""

from __future__ import annotations

import errno
import sys
from collections import deque
from contextlib import suppress
from typing import Any

from eventlet.green import socket
from eventlet.semaphore import Semaphore
from eventlet.timeout import Timeout

from . import legacy
from .session import DEFAULT_MAX_FRAME_LENGTH

__all__ = ["ACCEPTABLE_CLIENT_ERRORS", "IDLE_READ", "LARGE_READ", "WebSocket"]

#: Errors of a socket whose other end has gone: the end of a connection, no failure.
ACCEPTABLE_CLIENT_ERRORS = frozenset({errno.ECONNRESET, errno.EPIPE, errno.ESHUTDOWN})
# What a socket says besides that, after it was closed on this side.
_CLOSED_HERE = ACCEPTABLE_CLIENT_ERRORS | {errno.EBADF, errno.ENOTCONN}

# Bytes asked for at once: while waiting, so many are held for each connection; and while
# the rest of a large frame is on its way.
IDLE_READ = 4 << 10
LARGE_READ = 256 << 10


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
        self.log: Any = environ.get("wsgi.errors", sys.stderr)
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
            data = self._receive(IDLE_READ)
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
            return self._absence(error)
        return data

    def _absence(self, error: OSError) -> bytes:
        """Return b"" for an error that is the end of a connection, or raise it."""
        expected = _CLOSED_HERE if self.websocket_closed else ACCEPTABLE_CLIENT_ERRORS
        if error.errno not in expected:
            raise error
        return b""

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
        session = getattr(sock, "_sslobj", None)
        if session is not None:
            # Without TLS's own announcement the end could be the work of an attacker.
            with suppress(OSError):
                session.shutdown()
        try:
            # Wakes a green thread that waits, and ends the connection even where others
            # hold the socket.
            sock.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            if error.errno not in _CLOSED_HERE:
                self.log.write(f"{self.log_context} socket shutdown error: {error}\n")
        sock.close()


WebSocket.__module__ = "eventlet.websocket"
