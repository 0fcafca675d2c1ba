"""
Reading until a buffer is full, which is what `MSG_WAITALL` asks for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet.greenio.real import kind_of, socket_module

MSG_PEEK = int(socket_module.MSG_PEEK)
MSG_WAITALL = int(getattr(socket_module, "MSG_WAITALL", 0))


class Whole:
    """The part of a green socket that waits for all it was asked for."""

    if TYPE_CHECKING:
        _timeout: float | None
        fd: Any
        recv_into: Any

    def _waits_for_all(self, flags: int) -> bool:
        """
        Say whether a real socket in this state would: it has no limit, and is a stream.
        """
        return (
            self._timeout is None
            and not flags & MSG_PEEK
            and kind_of(self.fd)[1] == socket_module.SOCK_STREAM
        )

    def _fill(self, buffer: Any, nbytes: int, flags: int) -> int:
        """
        Read until there is no more room, or nothing more to come.

        The system does not wait for all on a socket in non-blocking mode.
        """
        with memoryview(buffer) as view, view.cast("B") as room:
            total, wanted = 0, nbytes or len(room)
            while total < wanted:
                try:
                    count = self.recv_into(room[total:wanted], wanted - total, flags)
                except OSError:
                    # What has come is not lost; the error is met by the next call.
                    if not total:
                        raise
                    break
                if not count:
                    break
                total += count
        return total
