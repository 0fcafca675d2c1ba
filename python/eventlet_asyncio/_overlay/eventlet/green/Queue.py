"""
The module `queue` on green threads.

The queues are Eventlet's own, whose waits are native. As in the standard module a
size of zero or less means no limit.
"""

from __future__ import annotations

import sys as _sys
from typing import Any

from eventlet import queue
from eventlet._patch.copies import borrow as _borrow

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"]

__patched__ = ["LifoQueue", "PriorityQueue", "Queue"]

Empty = queue.Empty
Full = queue.Full


def _limit(maxsize: int | None) -> int | None:
    return maxsize if maxsize is not None and maxsize > 0 else None


class _ShutDown:
    """
    What a queue becomes when it is shut down: it gives out what is left, and no more.

    A class of its own, so that no queue pays for it before.
    """

    __slots__ = ()
    is_shutdown = True

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        raise globals()["ShutDown"]

    def put_nowait(self, item: Any) -> None:
        raise globals()["ShutDown"]

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        try:
            return super().get(False)
        except Empty:
            raise globals()["ShutDown"] from None

    def get_nowait(self) -> Any:
        return self.get()


_LOCKS = ("mutex", "not_empty", "not_full", "all_tasks_done")
_native_size: Any = queue.LightQueue.maxsize


class _Standard:
    """A queue with the attributes of a standard one: its size as given, its lock."""

    def __init__(self: Any, maxsize: int | None = 0) -> None:
        super().__init__(_limit(maxsize))  # type: ignore[call-arg]
        self._given = maxsize

    def __getattr__(self, name: str) -> Any:
        """
        Give the queue `mutex`, `not_empty`, `not_full` and `all_tasks_done` when asked.
        """
        if name in _LOCKS:
            from eventlet.green._queue_locks import give_locks

            give_locks(self)
            return vars(self)[name]
        msg = f"{type(self).__name__!r} object has no attribute {name!r}"
        raise AttributeError(msg, name=name, obj=self)

    @property
    def maxsize(self: Any) -> int | None:
        """
        How many items may be stored; zero or less for no limit. Free to change.
        """
        limit: int | None = super().maxsize
        return self._given if limit is None else limit

    @maxsize.setter
    def maxsize(self: Any, maxsize: int | None) -> None:
        _native_size.__set__(self, _limit(maxsize))
        self._given = maxsize


class _CanBeShutDown:
    """`shutdown`, which the standard queues have since Python 3.13."""

    if _sys.version_info >= (3, 13):
        is_shutdown = False

        def shutdown(self: Any, immediate: bool = False) -> None:
            """
            Have `put` raise `ShutDown` from now on, and `get` when nothing is left.

            Whoever waits for either is woken with it.

            Args:
                immediate: Drop what is left, as done for `join`.
            """
            kind = type(self)
            if not self.is_shutdown:
                made = type(kind.__name__, (_ShutDown, kind), {"__slots__": ()})
                made.__module__, made.__qualname__ = kind.__module__, kind.__qualname__
                self.__class__ = made
            self._interrupt(globals()["ShutDown"])
            while immediate:
                try:
                    self.get()
                except globals()["ShutDown"]:
                    break
                if self.unfinished_tasks:
                    self.task_done()


class Queue(_CanBeShutDown, _Standard, queue.Queue):
    """A queue that gives items out in the order they came in."""


class PriorityQueue(_CanBeShutDown, _Standard, queue.PriorityQueue):
    """A queue that gives the smallest item out first."""


class LifoQueue(_CanBeShutDown, _Standard, queue.LifoQueue):
    """A queue that gives the newest item out first."""


class SimpleQueue(queue.Queue):
    """A queue without limit and without task tracking."""

    def __init__(self) -> None:
        super().__init__(None)

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """
        Add `item`. Never waits; the other arguments are there for symmetry.
        """
        super().put(item, block, timeout)


_borrow(globals(), "queue")
