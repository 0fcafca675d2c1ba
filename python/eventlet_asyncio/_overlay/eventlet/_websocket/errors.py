"""Exceptions of `eventlet.websocket`."""

from __future__ import annotations

__all__ = [
    "BadRequest",
    "ConnectionClosedError",
    "FailedConnectionError",
    "ProtocolError",
]


class BadRequest(Exception):
    """
    An upgrade request that is answered with an error.

    Args:
        status: Status line of the response, without the version.
        body: Its body.
        headers: Its headers, as pairs.
    """

    def __init__(
        self,
        status: str = "400 Bad Request",
        body: bytes | None = None,
        headers: list[tuple[str, str]] | None = None,
    ) -> None:
        super().__init__()
        self.status = status
        self.body = body
        self.headers = headers

    def __str__(self) -> str:
        return self.status


class ConnectionClosedError(Exception):
    """The connection has ended."""


class FailedConnectionError(Exception):
    """
    The peer broke the protocol, or exceeded a limit.

    Args:
        status: The status code that the close frame gives.
        message: The reason that it gives.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.message = message
        self.status = status


class ProtocolError(ValueError):
    """Something was to be sent that the protocol does not allow."""


# By the name under which they are caught, tracebacks show and pickles find them.
for _class in (BadRequest, ConnectionClosedError, FailedConnectionError, ProtocolError):
    _class.__module__ = "eventlet.websocket"
