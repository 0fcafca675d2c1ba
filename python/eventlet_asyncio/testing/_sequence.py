"""Steps of several green threads in one order."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType


def _new_event() -> Any:
    """Make what one waits for: of Eventlet if that is in use, of threads otherwise."""
    if "eventlet" in sys.modules:
        from eventlet.event import Event

        return Event()
    return threading.Event()


class Sequencer:
    """
    Runs the blocks of a test in the order of their numbers, whoever they belong to.

    ``with seq(n):`` waits until the block of ``n - 1`` has ended; numbers begin with 0.
    ``async with seq(n):`` is the same in a coroutine. Works between green threads,
    tasks and OS threads. Entering is a switch point unless it is the number's turn.

    Raises:
        RuntimeError: If a number is used twice.

    Example:
        >>> import eventlet
        >>> seq, order = Sequencer(), []
        >>> def late():
        ...     with seq(1):
        ...         order.append("late")
        >>> def early():
        ...     with seq(0):
        ...         order.append("early")
        >>> threads = [eventlet.spawn(late), eventlet.spawn(early)]
        >>> for thread in threads:
        ...     thread.wait()
        >>> order
        ['early', 'late']
    """

    def __init__(self) -> None:
        self._used: set[int] = set()
        self._events: dict[int, Any] = {}
        self._lock = threading.Lock()
        self._event(0).set() if self._plain else self._event(0).send()

    @property
    def _plain(self) -> bool:
        return isinstance(self._event(0), threading.Event)

    def _event(self, number: int) -> Any:
        if number not in self._events:
            self._events[number] = _new_event()
        return self._events[number]

    def __call__(self, number: int) -> _Step:
        """Return the block of a number, to be entered once."""
        if number < 0:
            message = f"the numbers of a Sequencer begin with 0, and this is {number}"
            raise ValueError(message)
        if number in self._used:
            message = f"step {number} of the Sequencer is used already: give each block a number of its own"
            raise RuntimeError(message)
        self._used.add(number)
        return _Step(self._event(number), self._event(number + 1))


class _Step:
    """One block of a `Sequencer`."""

    def __init__(self, before: Any, after: Any) -> None:
        self._before = before
        self._after = after

    def __enter__(self) -> None:
        self._before.wait()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(self._after, threading.Event):
            self._after.set()
        else:
            self._after.send()

    async def __aenter__(self) -> None:
        if isinstance(self._before, threading.Event):
            import asyncio

            await asyncio.to_thread(self._before.wait)
            return
        import eventlet

        await eventlet.spawn(self._before.wait)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)
