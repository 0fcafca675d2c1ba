"""A clock that does not wait: when everybody sleeps, it goes on to the next timer at once."""

from __future__ import annotations

import contextlib
import math
import sys
import time
from _thread import get_ident
from typing import TYPE_CHECKING, Any, Literal

from eventlet_asyncio.testing._engine import watched_hub
from eventlet_asyncio.testing._idle import wait_until_idle, watch

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

_REAL = time.monotonic
_REAL_NS = time.monotonic_ns
_REAL_SLEEP = time.sleep
# Real seconds in which others may have something to say before the time is moved.
_GLANCE = 0.01
# They measure the tests themselves.
_LEFT_ALONE = (
    "_pytest",
    "pytest",
    "pytest_timeout",
    "eventlet_asyncio.testing",
    "faulthandler",
    "xdist",
    "execnet",
    "hypothesis",
)


class VirtualClock:
    """
    What `virtual_clock` gives: the time of this process in a test's hands.

    Timers of the hub and of its loop, timeouts, ``time.monotonic`` and, in green code,
    ``time.sleep`` follow it. ``time.time`` does not. Seconds are those of
    ``time.monotonic``.
    """

    def __init__(self, hub: Any, io: str) -> None:
        from eventlet_asyncio import _core

        self._core = _core
        self._hub = hub
        self._io = io
        self._owner = get_ident()
        self._now = _REAL()
        self._frozen = False
        # The turn after which others were given real time, without effect.
        self._glanced_at = -1

    def time(self) -> float:
        """Return the time, in seconds."""
        return self._now

    def freeze(self) -> None:
        """Jump no more: from here on only `advance` moves the time. Not a switch point."""
        self._frozen = True

    def unfreeze(self) -> None:
        """Jump to the next timer again whenever everybody waits. Not a switch point."""
        self._frozen = False

    def advance(self, seconds: float) -> None:
        """
        Let that much time pass, with all timers in it, in their order. A switch point.

        Raises:
            ValueError: If the number is negative or none.
        """
        if not seconds >= 0 or math.isinf(seconds):
            message = f"advance() needs a number of seconds from 0 up, not {seconds!r}"
            raise ValueError(message)
        target = self._now + seconds
        while True:
            wait_until_idle()
            due = self._next_deadline()
            if due > target:
                break
            self._move(max(due, self._now))
        self._move(target)
        wait_until_idle()

    def before_sleep(self, seconds: float | None) -> float | None:
        """Move the time instead of sleeping. Called by the engine; must not switch."""
        if get_ident() != self._owner:
            # Another OS thread's hub: the time is moved by ours alone.
            return _GLANCE if seconds is None else min(seconds, _GLANCE)
        if seconds is None:
            return None
        waiting = self._descriptors()
        if waiting:
            return self._wait_for_others(seconds, ", ".join(waiting))
        if self._frozen:
            message = (
                "the virtual clock is frozen, and everybody waits for it: call"
                " advance(), or unfreeze()"
            )
            raise RuntimeError(message)
        self._move(self._now + seconds)
        return 0.0

    def _wait_for_others(self, seconds: float, waiting: str) -> float:
        """Give descriptors some real time."""
        if self._io == "refuse":
            message = (
                "the virtual clock would jump while real input and output is pending:"
                f" {waiting}. Pass io='wait' to virtual_clock() to give it real time"
                " first, or let the test use no sockets"
            )
            raise RuntimeError(message)
        hub_loop = getattr(self._hub, "loop", None)
        if hub_loop is None:
            turns = self._hub._pulse()[0]
            if turns != self._glanced_at:
                # Whatever comes makes a turn, after which this is asked anew.
                self._glanced_at = turns
                return _GLANCE
        elif self._has_come(hub_loop):
            return 0.0
        self._move(self._now + seconds)
        return 0.0

    def _has_come(self, hub_loop: Any) -> bool:
        """Wait a moment for what an event loop waits for, and say whether it has come."""
        from eventlet.patcher import original

        select: Any = original("select")
        poll = select.poll()
        events = sys.modules["asyncio.events"]
        for loop in {hub_loop, events._get_running_loop() or hub_loop}:
            # What it waits on is a descriptor itself, readable when something has come.
            poll.register(loop._selector.fileno(), select.POLLIN)
        return bool(poll.poll(_GLANCE * 1000))

    def _next_deadline(self) -> float:
        timers = self._hub._timers()
        due = min((deadline for deadline, *_ in timers), default=math.inf)
        scheduled = getattr(getattr(self._hub, "loop", None), "_scheduled", None)
        if scheduled:
            due = min(due, *(handle.when() for handle in scheduled))
        return due

    def _descriptors(self) -> list[str]:
        """Describe what waits for descriptors."""
        found = [
            f"descriptor {fd} ({'write' if write else 'read'})"
            for fd, write, _ in self._hub._waiting()
        ]
        loop = getattr(self._hub, "loop", None)
        selector = getattr(loop, "_selector", None)
        # The loop wakes itself through one, and the hub through another.
        own = getattr(getattr(loop, "_ssock", None), "fileno", lambda: None)()
        for fd, key in {} if selector is None else selector.get_map().items():
            callbacks = [getattr(handle, "_callback", None) for handle in key.data]
            owners = [getattr(callback, "__self__", None) for callback in callbacks]
            if fd != own and self._hub not in owners:
                found.append(f"descriptor {fd} of the loop")
        return found

    def _move(self, now: float) -> None:
        self._now = now
        self._core._set_time(now)

    def _monotonic(self) -> float:
        return self._now

    def _monotonic_ns(self) -> int:
        return int(self._now * 1e9)

    def _sleep(self, seconds: float) -> None:
        from eventlet.greenthread import sleep

        if get_ident() == self._owner:
            sleep(seconds)
        else:
            _REAL_SLEEP(seconds)


def _modules() -> Iterator[ModuleType]:
    for name, module in list(sys.modules.items()):
        alone = any(name == own or name.startswith(f"{own}.") for own in _LEFT_ALONE)
        if not alone and module is not None:
            yield module


class _Replaced:
    """The functions of the real clock, replaced wherever a module has them."""

    def __init__(self, clock: VirtualClock) -> None:
        others = {
            id(_REAL): clock._monotonic,
            id(_REAL_NS): clock._monotonic_ns,
            id(_REAL_SLEEP): clock._sleep,
        }
        self._places: list[tuple[dict[str, Any], str, Any]] = []
        for module in _modules():
            try:
                names = vars(module)
            except TypeError:
                continue
            for name, value in list(names.items()):
                other = others.get(id(value))
                if other is not None:
                    self._places.append((names, name, value))
                    names[name] = other

    def undo(self) -> None:
        for names, name, value in self._places:
            names[name] = value


@contextlib.contextmanager
def virtual_clock(
    *, freeze: bool = False, io: Literal["refuse", "wait"] = "refuse"
) -> Iterator[VirtualClock]:
    """
    Have time pass at once: whenever everybody waits, it is the next timer's time.

    Hours of timers run in moments, in the order that the real clock gives. It holds
    for the whole process while the block lasts. Timers that are pending at its end keep
    their moment, which may be far away: let them end before. Not a switch point.

    Args:
        freeze: Begin frozen: only `VirtualClock.advance` moves the time.
        io: What to do where the time would jump while green threads wait for real
            descriptors: ``refuse`` raises RuntimeError in the main green thread;
            ``wait`` gives them some real milliseconds to come, and jumps then. Jobs
            in OS threads are not known to it: let them end before time has to pass.

    Raises:
        RuntimeError: On another implementation of eventlet, on a loop that is not
            asyncio's own, and within another virtual clock.

    Example:
        >>> import eventlet
        >>> with virtual_clock() as clock:
        ...     before = clock.time()
        ...     eventlet.sleep(24 * 3600)
        ...     round(clock.time() - before)
        86400
    """
    if io not in {"refuse", "wait"}:
        message = f"virtual_clock() takes io='refuse' or io='wait', not {io!r}"
        raise ValueError(message)
    hub = watched_hub("virtual_clock()")
    if watch.clock is not None:
        message = "there is a virtual clock already: use that one"
        raise RuntimeError(message)
    clock = VirtualClock(hub, io)
    if freeze:
        clock.freeze()
    replaced = _Replaced(clock)
    hub_clock = hub.clock
    hub.clock = clock._monotonic
    watch.clock = clock
    clock._move(clock._now)
    watch.update()
    try:
        yield clock
    finally:
        watch.clock = None
        watch.update()
        replaced.undo()
        hub.clock = hub_clock
        clock._core._set_time(None)
