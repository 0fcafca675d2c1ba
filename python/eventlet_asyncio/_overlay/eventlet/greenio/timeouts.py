"""
How long a green socket waits, which is for itself to know: the real one never waits.
"""

from __future__ import annotations

from eventlet.greenio.real import check_timeout


class Timeouts:
    """The part of a green socket that keeps its limit."""

    # Of the class, so that an instance whose `__init__` never ran can be thrown away.
    _timeout: float | None = None
    act_non_blocking = False

    def setblocking(self, flag: bool) -> None:
        """
        Wait without limit from now on, or, if `flag` is false, never.
        """
        self.act_non_blocking = not flag
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """
        Say whether calls wait at all.
        """
        return not self.act_non_blocking

    def settimeout(self, howlong: float | None) -> None:
        """
        Limit each wait to `howlong` seconds; None for no limit, 0 for no waiting.

        Raises:
            TypeError: If it is no number.
            ValueError: If it is negative.
        """
        self._timeout = check_timeout(howlong)
        self.act_non_blocking = self._timeout == 0

    def gettimeout(self) -> float | None:
        """
        Return the limit in seconds: None if there is none, 0.0 if calls never wait.
        """
        return 0.0 if self.act_non_blocking else self._timeout
