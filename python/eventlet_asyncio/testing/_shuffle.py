"""A random order of what is ready, that a seed gives again."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import deque
from typing import TYPE_CHECKING, Any

from eventlet_asyncio.testing._engine import engine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


class Order:
    """
    A random order, and which of its choices mattered.

    Choices of the hub are numbered from 0 up, those among tasks from -1 down.

    Args:
        seed: Chooses the order.
        only: The numbers of the choices that are to be random; at all others the
            first one runs. ``None`` for all.

    Attributes:
        displaced: The numbers of the choices at which another than the first one
            ran. Known at the end.
    """

    def __init__(self, seed: int, only: Iterable[int] | None = None) -> None:
        self.seed = seed
        self.only = None if only is None else frozenset(only)
        self.displaced: list[int] = []

    @classmethod
    def parse(cls, text: str) -> Order:
        """
        Read what `__str__` has written: ``SEED`` or ``SEED:NUMBER,NUMBER``.

        Raises:
            ValueError: If it is something else.
        """
        seed, colon, numbers = text.partition(":")
        only = [int(number) for number in numbers.split(",") if number]
        return cls(int(seed), only if colon else None)

    def __str__(self) -> str:
        """Return what gives this order again."""
        if self.only is None:
            return str(self.seed)
        return f"{self.seed}:{','.join(map(str, sorted(self.only)))}"


class _Ready(deque[asyncio.Handle]):
    """A loop's callbacks, of which tasks go on in a random order."""

    def __init__(self, handles: Iterable[asyncio.Handle], order: Order) -> None:
        super().__init__(handles)
        self._order = order
        self._choices = 0
        self.displaced: list[int] = []

    def popleft(self) -> asyncio.Handle:
        if len(self) > 1 and _is_step(self[0]):
            self._choose()
        return super().popleft()

    def _choose(self) -> None:
        places = [at for at, handle in enumerate(self) if _is_step(handle)]
        if len(places) < 2:
            return
        self._choices += 1
        number = -self._choices
        only = self._order.only
        if only is not None and number not in only:
            return
        # Each choice draws for itself, so that it can be had without the others.
        draw = random.Random(f"{self._order.seed}{number}")  # noqa: S311 - an order
        chosen = draw.choice(places)
        if chosen:
            handle = self[chosen]
            del self[chosen]
            self.appendleft(handle)
            self.displaced.append(number)


def _is_step(handle: asyncio.Handle) -> bool:
    callback = getattr(handle, "_callback", None)
    return isinstance(getattr(callback, "__self__", None), asyncio.Task)


@contextlib.contextmanager
def shuffled(order: int | Order) -> Iterator[Order]:
    """
    Run ready green threads, and tasks of the hub's loop, in a random order.

    Code that is right runs in any order: threads will give it another one each day.
    Timers keep their order, and so do other callbacks. On a loop that is not asyncio's
    own, tasks do. Not a switch point itself.

    Args:
        order: A seed, which gives the same order each time to a program whose course
            depends on nothing else; or an `Order`.

    Raises:
        RuntimeError: On another implementation of eventlet.

    Example:
        >>> import eventlet
        >>> def run(seed):
        ...     seen = []
        ...     with shuffled(seed):
        ...         pile = eventlet.GreenPile()
        ...         for number in range(8):
        ...             pile.spawn(seen.append, number)
        ...         list(pile)
        ...     return seen
        >>> run(1) == run(1) != run(2)
        True
    """
    core = engine("shuffled()")
    from eventlet import hubs

    order = Order(order) if isinstance(order, int) else order
    only = None if order.only is None else [n for n in order.only if n >= 0]
    hub = hubs.get_hub()
    loop: Any = getattr(hub, "loop", None)
    tasks = None
    core._set_order(order.seed % 2**64, only)
    if loop is not None and isinstance(getattr(loop, "_ready", None), deque):
        tasks = _Ready(loop._ready, order)
        loop._ready = tasks
    try:
        yield order
    finally:
        order.displaced = core._displaced()
        core._set_order(None)
        if tasks is not None:
            order.displaced += tasks.displaced
            if loop._ready is tasks:
                loop._ready = deque(tasks)


def search(run: Callable[[Order], bool], seeds: Iterable[int]) -> Order | None:
    """
    Look for an order in which something fails, and for the least of it that suffices.

    Args:
        run: Runs the thing within ``shuffled(order)``; tells whether it went well.
        seeds: Those to be tried.

    Returns:
        The order that was found, with as few choices as could be; ``None`` for none.
    """
    for seed in seeds:
        order = Order(seed)
        if not run(order):
            return _shrink(run, order)
    return None


def _shrink(run: Callable[[Order], bool], failing: Order) -> Order:
    """Leave out halves, quarters and so on, as long as it still fails (delta debugging)."""
    parts = 2
    numbers = failing.displaced
    smallest = failing
    while len(numbers) > 1:
        size = max(1, -(-len(numbers) // parts))
        for start in range(0, len(numbers), size):
            order = Order(failing.seed, numbers[:start] + numbers[start + size :])
            if not run(order):
                smallest = order
                numbers = [n for n in order.displaced if n in (order.only or ())]
                parts = max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(numbers), parts * 2)
    return smallest
