"""A mutual exclusion lock with the interface of `threading.Lock`."""

from __future__ import annotations

from eventlet.semaphore import Semaphore

__all__ = ["Lock"]


class Lock(Semaphore):
    """
    A `Semaphore` of one unit that refuses to be released twice.

    It may be released by another green thread than the one that acquired it,
    as `threading.Lock` may.
    """

    def release(self, blocking: bool = True) -> bool:
        """
        Unlock; whoever waits longest gets the lock. Never a switch point.

        Args:
            blocking: Ignored; there for symmetry with `BoundedSemaphore`.

        Raises:
            RuntimeError: If the lock is not locked.
        """
        if self.counter > 0:
            msg = "release unlocked lock"
            raise RuntimeError(msg)
        released: bool = super().release(blocking=blocking)
        return released

    def _at_fork_reinit(self) -> None:
        """Become a new, unlocked lock: called by the stdlib in a forked child."""
        self.__init__()  # type: ignore[misc]
