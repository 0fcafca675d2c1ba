"""Assertions on where a test lets others run."""

from __future__ import annotations

import contextlib
import traceback
from typing import TYPE_CHECKING, Any, Literal

from eventlet_asyncio.migration import _tracing

if TYPE_CHECKING:
    from collections.abc import Iterator


class Switches:
    """
    The switches away from one green thread.

    Attributes:
        count: How many there were.
        first: The stack of the first one, as text; empty before it.
    """

    def __init__(self, green: Any) -> None:
        self.count = 0
        self.first = ""
        self._green = green

    def __call__(self, origin: Any, target: Any) -> None:
        del target
        if origin is not self._green:
            return
        self.count += 1
        if self.count == 1 and origin.gr_frame is not None:
            self.first = "".join(traceback.format_stack(origin.gr_frame, limit=5))


@contextlib.contextmanager
def _counted() -> Iterator[Switches]:
    import greenlet

    switches = Switches(greenlet.getcurrent())
    _tracing.add(switches)
    try:
        yield switches
    finally:
        _tracing.remove(switches)


@contextlib.contextmanager
def assert_no_switch() -> Iterator[Switches]:
    """
    Fail if the block lets others run: for code that must be atomic in green threads.

    Only switches of the calling green thread count. With upstream's implementation, too.

    Raises:
        AssertionError: At the end of the block, with the stack of the first switch.

    Example:
        >>> with assert_no_switch():
        ...     total = sum(range(10))
    """
    with assert_switches(max=0) as switches:
        yield switches


@contextlib.contextmanager
def assert_switches(
    max: int | None = None,  # noqa: A002 - the name that tests read best
    min: int = 0,  # noqa: A002 - as `max`
) -> Iterator[Switches]:
    """
    Fail if the block lets others run more often than `max` times, or less than `min`.

    Only switches of the calling green thread count. With upstream's implementation, too.

    Raises:
        AssertionError: At the end of the block, with the stack of the first switch.

    Example:
        >>> import eventlet
        >>> with assert_switches(max=2, min=1) as switches:
        ...     eventlet.sleep(0)
        >>> switches.count
        1
    """
    with _counted() as switches:
        yield switches
    if max is not None and switches.count > max:
        allowed = "not once" if max == 0 else f"at most {max} times"
        message = (
            f"others could run {switches.count} times here, and it had to be"
            f" {allowed}; first at:\n{switches.first}"
        )
        raise AssertionError(message)
    if switches.count < min:
        message = (
            f"others could run {switches.count} times here, and it had to be"
            f" at least {min} times"
        )
        raise AssertionError(message)


@contextlib.contextmanager
def expect_colour(colour: Literal["never", "may", "must"]) -> Iterator[Switches]:
    """
    Fail if what the block calls is not of this colour.

    The colours are those of the kit's plan: ``never`` switches, ``may`` switch, or
    ``must`` do so each time.

    Raises:
        AssertionError: At the end of the block.
        ValueError: If there is no such colour.

    Example:
        >>> import eventlet
        >>> with expect_colour("must"):
        ...     _ = eventlet.spawn(int).wait()
    """
    if colour not in {"never", "may", "must"}:
        message = f"there is no colour {colour!r}: use 'never', 'may' or 'must'"
        raise ValueError(message)
    most = 0 if colour == "never" else None
    with assert_switches(max=most, min=int(colour == "must")) as switches:
        yield switches
