"""
The connections of a server: who gives way when places are wanted, and at the end.

A connection that waits for a request costs a place and does nothing with it. As long as
there are places it may wait; when others want its place, whoever has waited longest gives
it up.
"""

from __future__ import annotations

import _socket
import time
from typing import TYPE_CHECKING, Any

from eventlet import greenio
from eventlet._wsgi.protocol import STATE_CLOSE, STATE_IDLE
from eventlet.greenthread import sleep

if TYPE_CHECKING:
    from eventlet._wsgi.limits import Limits

__all__ = ["ASKING", "Connection", "Registry"]

#: For how long after a response a client counts as about to send the next request, seconds.
ASKING = 0.1


class Connection(list[Any]):
    """
    What a server keeps of a connection: the client's address, the socket and its state.

    A list, as upstream's, with the object that serves it.
    """

    __slots__ = ("protocol", "since")

    def __init__(self, address: Any, sock: Any) -> None:
        super().__init__((address, sock, STATE_IDLE))
        self.protocol: Any = None
        self.since = time.monotonic()

    def waiting_since(self) -> float:
        """
        Return when it began to wait for a request.
        """
        return self.since if self.protocol is None else self.protocol.waiting_since

    def is_silent(self) -> bool:
        """
        Say whether nothing of a request has come.
        """
        return self.protocol is None or self.protocol.is_silent()

    def has_arrived(self) -> bool:
        """
        Say whether there are bytes that its green thread has not seen yet.
        """
        sock = getattr(self[1], "fd", self[1])
        try:
            # Beneath TLS, too: what is there then may be a request.
            return bool(
                _socket.socket.recv(sock, 1, _socket.MSG_PEEK | _socket.MSG_DONTWAIT)
            )
        except (OSError, TypeError, ValueError):
            return False


class Registry:
    """
    All connections of a server that have not ended.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._connections: dict[int, Connection] = {}

    def add(self, connection: Connection) -> None:
        """
        Take note of a connection.
        """
        self._connections[id(connection)] = connection

    def done(self, _thread: Any, connection: Connection) -> None:
        """
        Forget a connection whose green thread has ended.
        """
        self._connections.pop(id(connection), None)

    def _waiting(self) -> list[Connection]:
        """Return those without a whole request, the silent ones and the oldest first."""
        waiting = [
            state for state in self._connections.values() if state[2] is STATE_IDLE
        ]
        return sorted(waiting, key=lambda s: (not s.is_silent(), s.waiting_since()))

    def make_room(self) -> None:
        """
        Close connections that wait for a request, one after the other. Switch point.

        For a green thread of its own, which is killed when there is room.
        """
        spare = self._limits.spare
        while True:
            now = time.monotonic()
            delays = []
            for connection in self._waiting():
                left = connection.waiting_since() + spare - now
                if left <= 0 and not connection.has_arrived():
                    greenio.shutdown_safe(connection[1])
                    # It will end soon.
                    connection[2] = STATE_CLOSE
                    break
                delays.append(left)
            else:
                sleep(min([spare, *(left for left in delays if left > 0)]) or 0.01)
                continue
            sleep(spare)

    def end(self) -> None:
        """
        Close connections that wait for a request; let the others serve what has arrived.

        A client that asks one request after the other is about to ask again, and would
        find the connection closed: it has `ASKING` seconds to, and is told then.
        """
        for connection in self._connections.values():
            idle = connection[2] is STATE_IDLE
            connection[2] = STATE_CLOSE
            if connection.protocol is not None:
                connection.protocol.is_last = not idle
        self.end_idle(ASKING)

    def end_idle(self, least: float = 0.0) -> None:
        """
        Close connections that have waited for a next request for `least` seconds.
        """
        now = time.monotonic()
        for connection in self._connections.values():
            protocol = connection.protocol
            # One that has never sent anything may just have connected: see `drain`.
            if (
                protocol is not None
                and not protocol.is_last
                and protocol._requested
                and protocol.is_silent()
                and now - protocol.waiting_since >= least
                and not connection.has_arrived()
            ):
                greenio.shutdown_safe(connection[1])

    def cut_off(self) -> None:
        """
        Close connections on which requests have begun to arrive and do not end.
        """
        for connection in self._connections.values():
            if connection.protocol is None or not connection.protocol.is_last:
                greenio.shutdown_safe(connection[1])
