"""
Queues for green threads, with the interface of the stdlib's ``queue``.

`LightQueue` and `Queue` are native. A subclass chooses how items are stored by
overriding ``_init``, ``_qsize``, ``_put`` and ``_get``, which must not switch;
that is all there is to `PriorityQueue` and `LifoQueue`.

Differences to the stdlib: ``maxsize=None`` means no limit, and ``Queue(0)`` is
a channel, where ``put`` waits until somebody takes the item.
"""

from __future__ import annotations

# Not from `queue`: that would import `threading` along, needed or not.
from _queue import Empty
from heapq import heappop, heappush
from typing import TYPE_CHECKING, Any

from eventlet.support.greenlets import getcurrent
from eventlet_asyncio._core import LightQueue, Queue

if TYPE_CHECKING:
    from queue import Full

    from typing_extensions import TypeVar

    _Item = TypeVar("_Item", default=Any)

__all__ = ["Empty", "Full", "LifoQueue", "LightQueue", "PriorityQueue", "Queue"]


def __getattr__(name: str) -> Any:
    """Fetch the stdlib's `Full` when somebody asks for it."""
    if name == "Full":
        from queue import Full

        globals()["Full"] = Full
        return Full
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


class PriorityQueue(Queue["_Item"]):
    """
    A `Queue` that gives the smallest item first.

    Items are commonly pairs of a priority and the data.
    """

    def _init(self, maxsize: int | None) -> None:
        # Whether items can be compared is the user's affair.
        self.queue: list[Any] = []

    def _put(self, item: _Item) -> None:
        heappush(self.queue, item)

    def _get(self) -> _Item:
        item: _Item = heappop(self.queue)
        return item


class LifoQueue(Queue["_Item"]):
    """A `Queue` that gives the item put last first."""

    def _init(self, maxsize: int | None) -> None:
        self.queue: list[_Item] = []

    def _put(self, item: _Item) -> None:
        self.queue.append(item)

    def _get(self) -> _Item:
        return self.queue.pop()


class Waiter:
    """
    A single place where one green thread waits to be switched to.

    The building block of home-made primitives: `wait` in one green thread,
    `switch` or `throw` from a hub callback. It never stores a value: switching
    to a waiter that nobody waits on does nothing.
    """

    __slots__ = ("greenlet",)

    def __init__(self) -> None:
        self.greenlet: Any = None

    def __repr__(self) -> str:
        state = "waiting" if self.waiting else "idle"
        where = f"{type(self).__name__} at {id(self):#x}"
        return f"<{where} {state} greenlet={self.greenlet!r}>"

    @property
    def waiting(self) -> bool:
        """Say whether a green thread waits here."""
        return self.greenlet is not None

    def switch(self, value: Any = None) -> None:
        """Make `wait` return ``value``. Switch point if somebody waits."""
        if self.greenlet is not None:
            self.greenlet.switch(value)

    def throw(self, *throw_args: Any) -> None:
        """Make `wait` raise. Switch point if somebody waits."""
        if self.greenlet is not None:
            self.greenlet.throw(*throw_args)

    def wait(self) -> Any:
        """
        Wait for `switch` or `throw`. Always a switch point.

        Raises:
            RuntimeError: If another green thread waits here.
        """
        if self.greenlet is not None:
            msg = (
                f"{self!r} has a green thread waiting already: use one Waiter for each"
            )
            raise RuntimeError(msg)
        from eventlet.hubs import get_hub

        self.greenlet = getcurrent()
        try:
            return get_hub().switch()
        finally:
            self.greenlet = None


class ItemWaiter(Waiter):
    """A `Waiter` that carries the item its green thread wants to put."""

    __slots__ = ("block", "item")

    def __init__(self, item: Any, block: bool) -> None:
        super().__init__()
        self.item = item
        self.block = block
