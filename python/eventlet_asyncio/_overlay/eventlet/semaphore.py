"""
Semaphores: counted permissions that green threads wait for in turn.

`Semaphore` and `BoundedSemaphore` are native. All of them may be released from
any OS thread: the waiter is woken in its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlet_asyncio._core import BoundedSemaphore, Semaphore

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

__all__ = ["BoundedSemaphore", "CappedSemaphore", "Semaphore"]


class CappedSemaphore:
    """
    A semaphore that blocks in `release` too, while it is at its limit.

    With a limit of 0 every `release` waits for an `acquire` and the other way
    round: a meeting point.

    Args:
        count: The units there are at the start.
        limit: The most there may be.

    Raises:
        ValueError: If ``count`` is negative or above ``limit``.
    """

    def __init__(self, count: int, limit: int) -> None:
        if not 0 <= count <= limit:
            msg = (
                "CappedSemaphore() needs 0 <= count <= limit,"
                f" not count={count!r}, limit={limit!r}"
            )
            raise ValueError(msg)
        self.lower_bound = Semaphore(count)
        self.upper_bound = Semaphore(limit - count)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} b={self.balance}>"

    def locked(self) -> bool:
        """Say whether `acquire` would wait."""
        locked: bool = self.lower_bound.locked()
        return locked

    def bounded(self) -> bool:
        """Say whether `release` would wait."""
        bounded: bool = self.upper_bound.locked()
        return bounded

    def acquire(self, blocking: bool = True) -> bool:
        """
        Take one unit, waiting for it if need be.

        Switch point only if no unit is free.

        Args:
            blocking: If false, return False instead of waiting.
        """
        if not self.lower_bound.acquire(blocking):
            return False
        self.upper_bound.release()
        return True

    def release(self, blocking: bool = True) -> bool:
        """
        Give one unit back, waiting until there is room for it.

        Switch point only at the limit. Somebody waiting in `acquire` gets the
        unit before the wait for room begins.

        Args:
            blocking: If false, return False instead of waiting.
        """
        if not blocking and self.bounded():
            return False
        self.lower_bound.release()
        try:
            self.upper_bound.acquire()
        except BaseException:
            # Killed or timed out at the limit: take the unit back, unless
            # somebody has it already.
            self.lower_bound.acquire(False)
            raise
        return True

    @property
    def balance(self) -> int:
        """
        Say how many units are free, or how many callers wait.

        Negative while callers wait in `acquire`, or could take no unit.
        """
        balance: int = self.lower_bound.balance - self.upper_bound.balance
        return balance

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        val: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.release()
