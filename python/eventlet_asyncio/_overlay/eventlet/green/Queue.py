"""
The module `queue` on green threads.

The queues are Eventlet's own, whose waits are native. As in the standard module a
size of zero or less means no limit.
"""

from __future__ import annotations

from typing import Any

from eventlet import queue
from eventlet._patch.copies import borrow as _borrow

__all__ = ["Empty", "Full", "LifoQueue", "PriorityQueue", "Queue", "SimpleQueue"]

__patched__ = ["LifoQueue", "PriorityQueue", "Queue"]

Empty = queue.Empty
Full = queue.Full


def _limit(maxsize: int | None) -> int | None:
    return maxsize if maxsize is not None and maxsize > 0 else None


class Queue(queue.Queue):
    """A queue that gives items out in the order they came in."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(_limit(maxsize))


class PriorityQueue(queue.PriorityQueue):
    """A queue that gives the smallest item out first."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(_limit(maxsize))


class LifoQueue(queue.LifoQueue):
    """A queue that gives the newest item out first."""

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(_limit(maxsize))


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
