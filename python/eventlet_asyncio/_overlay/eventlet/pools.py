"""
Pools of objects that are costly to make: connections, buffers, tokens.

A native semaphore counts what a caller may take now: items that lie free plus
items that may still be made. Its waiters are served in order of arrival, and a
waiter that is killed or times out hands its unit on, so that no item is ever
promised to a green thread that is gone.
"""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eventlet.semaphore import Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Pool", "TokenPool"]


class Pool:
    """
    A pool of objects, made on demand, up to a limit.

    Either subclass it and define `create`, or give ``create`` a callable.

    Args:
        min_size: How many items to make at once.
        max_size: How many items may exist at the same time.
        order_as_stack: Hand out the item returned last, not the one that has
            been free for longest.
        create: Makes an item; takes no arguments, may be a switch point.
    """

    def __init__(
        self,
        min_size: int = 0,
        max_size: int = 4,
        order_as_stack: bool = False,
        create: Callable[[], Any] | None = None,
    ) -> None:
        self.min_size = min_size
        self.max_size = max_size
        self.order_as_stack = order_as_stack
        self.free_items: deque[Any] = deque()
        self._current_size = 0
        self._units = Semaphore(max(0, max_size))
        # Units that `_lose` could not take back: there was none at the time.
        self._owed = max(0, -max_size)
        if create is not None:
            self.create = create  # type: ignore[method-assign]
        for _ in range(min_size):
            self._current_size += 1
            self.free_items.append(self.create())

    @property
    def current_size(self) -> int:
        """
        Say how many items exist, free or taken.

        A subclass that throws an item away instead of returning it lowers this
        number; the next caller may then make a new one.
        """
        return self._current_size

    @current_size.setter
    def current_size(self, size: int) -> None:
        gone = self._current_size - size
        self._current_size = size
        self._gain(gone)
        self._lose(-gone)

    def get(self) -> Any:
        """
        Take an item, making one if none is free and the limit allows it.

        Switch point if every item is taken, and where `create` is one. Waiting
        callers are served in order of arrival.
        """
        while True:
            self._units.acquire()
            if self.free_items:
                return self.free_items.popleft()
            if self._current_size < self.max_size:
                break
            # The unit stood for an item that somebody took out of `free_items`
            # by hand. It is gone: wait for a real one.
        # Counted first: `create` may switch, and others must see it as taken.
        self._current_size += 1
        try:
            return self.create()
        except BaseException:
            self._current_size -= 1
            self._gain(1)
            raise

    @contextmanager
    def item(self) -> Iterator[Any]:
        """
        Take an item for the length of a ``with`` block.

        Entering it is a switch point where `get` is one.
        """
        taken = self.get()
        try:
            yield taken
        finally:
            self.put(taken)

    def put(self, item: Any) -> None:
        """
        Return an item; whoever waits longest gets it.

        Never a switch point. If the pool was made smaller in the meantime the
        item is dropped.
        """
        if self._current_size > self.max_size:
            self._current_size -= 1
        elif self.order_as_stack:
            self.free_items.appendleft(item)
        else:
            self.free_items.append(item)
        self._gain(1)

    def resize(self, new_size: int) -> None:
        """
        Change how many items may exist at the same time.

        Items already taken, and callers already waiting, are left alone: a
        smaller limit takes effect as items come back.
        """
        more = new_size - self.max_size
        self.max_size = new_size
        self._gain(more)
        self._lose(-more)

    def free(self) -> int:
        """Return how many items could be taken without waiting."""
        return self.max_size - self._current_size + len(self.free_items)

    def waiting(self) -> int:
        """Return how many callers wait for an item."""
        return max(0, -self._units.balance)

    def create(self) -> Any:
        """
        Make an item for the pool.

        Raises:
            NotImplementedError: If neither a subclass nor ``create`` says how.
        """
        msg = "Pool: define create() in a subclass, or give Pool(create=...) a callable"
        raise NotImplementedError(msg)

    def _gain(self, count: int) -> None:
        for _ in range(count):
            if self._owed:
                self._owed -= 1
            else:
                self._units.release()

    def _lose(self, count: int) -> None:
        for _ in range(count):
            if not self._units.acquire(False):
                self._owed += 1


class Token:
    """An object without properties, handed out by a `TokenPool`."""


class TokenPool(Pool):
    """A pool of indistinguishable tokens: limits how many are at work at once."""

    def create(self) -> Token:
        """Make a token."""
        return Token()
