"""A counter one can wait on; what is left of an old module of that name."""

from __future__ import annotations

from eventlet.event import Event

__all__ = ["metaphore"]


class metaphore:
    """
    A semaphore the other way round: waits until a counter is back at zero.

    Count jobs up as they begin and down as they end; `wait` returns when none
    is left.
    """

    def __init__(self) -> None:
        self.counter = 0
        self.event = Event()
        # Nothing counted yet: there is nothing to wait for.
        self.event.send()

    def inc(self, by: int = 1) -> None:
        """
        Count up.

        Raises:
            AssertionError: If ``by`` is not positive.
        """
        _require(by > 0, "inc() needs a positive number")
        if not self.counter:
            self.event = Event()
        self.counter += by

    def dec(self, by: int = 1) -> None:
        """
        Count down; at zero everybody in `wait` goes on.

        Raises:
            AssertionError: If ``by`` is not positive, or more than was counted.
        """
        _require(by > 0, "dec() needs a positive number")
        _require(by <= self.counter, f"dec({by}) with a counter of only {self.counter}")
        self.counter -= by
        if not self.counter:
            self.event.send()

    def wait(self) -> None:
        """Wait until the counter is zero. Switch point unless it is."""
        self.event.wait()


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)
