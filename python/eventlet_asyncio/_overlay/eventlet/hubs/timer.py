"""Timers: a call in the future, made by the hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import greenlet
from eventlet import hubs

if TYPE_CHECKING:
    from collections.abc import Callable

    from eventlet_asyncio._core import TimerHandle

__all__ = ["LocalTimer", "Timer"]

# Record where each timer is made. `eventlet.debug.hub_timer_stacks` sets it.
_g_debug = False


class Timer:
    """
    Call ``cb(*args, **kw)`` on the hub's stack, ``seconds`` after :meth:`schedule`.

    The callback must not block.
    An exception of it is printed, unless the hub is told not to.
    """

    def __init__(
        self, seconds: float, cb: Callable[..., object], *args: Any, **kw: Any
    ) -> None:
        """Prepare the timer; it runs only once it is scheduled."""
        self.seconds = seconds
        self.tpl = cb, args, kw
        self.called = False
        self.scheduled_time: float | None = None
        self._hub: Any = None
        self._handle: TimerHandle | None = None
        self.traceback: str | None = None
        if _g_debug:
            import traceback

            self.traceback = "".join(traceback.format_stack())

    @property
    def pending(self) -> bool:
        """Whether the call is still to come."""
        return not self.called

    def __repr__(self) -> str:
        """Show the delay and the call."""
        cb, args, kw = self.tpl
        kind = type(self).__name__
        shown = f"{kind}({self.seconds}, {cb}, *{args}, **{kw})"
        return f"{shown} made at\n{self.traceback}" if self.traceback else shown

    def copy(self) -> Timer:
        """Return an unscheduled timer for the same call."""
        cb, args, kw = self.tpl
        return type(self)(self.seconds, cb, *args, **kw)

    def schedule(self) -> Timer:
        """Start the timer on this thread's hub."""
        return self._schedule_on(hubs.get_hub())

    def _schedule_on(self, hub: Any) -> Timer:
        """Start the timer on a hub."""
        self.called = False
        self._hub = hub
        self.scheduled_time = self._hub.clock() + self.seconds
        self._hub.add_timer(self)
        return self

    def __call__(self, *args: object) -> None:
        """Make the call, unless it was made or cancelled already."""
        del args
        if self.called:
            return
        self.called = True
        cb, arguments, kw = self.tpl
        try:
            cb(*arguments, **kw)
        finally:
            # A timer that is kept must not keep what it called.
            del self.tpl

    def cancel(self) -> None:
        """Withdraw the call; without effect once it was made."""
        if self.called:
            return
        self.called = True
        handle = self._handle
        if handle is not None:
            self._handle = None
            self._hub._cancel_timer(handle)
        self._hub = None
        self.tpl = _nothing, (), {}

    def __lt__(self, other: object) -> bool:
        """Order by creation, for whoever keeps timers in a heap."""
        return id(self) < id(other)


class LocalTimer(Timer):
    """A timer that is void once the greenlet that made it has ended."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Prepare the timer for the running greenlet."""
        self.greenlet: greenlet.greenlet | None = greenlet.getcurrent()
        super().__init__(*args, **kwargs)

    @property
    def pending(self) -> bool:
        """Whether the call is still to come."""
        owner = self.greenlet
        return owner is not None and not owner.dead and not self.called

    def __call__(self, *args: object) -> None:
        """Make the call if the owner still lives."""
        if self.called:
            return
        owner, self.greenlet = self.greenlet, None
        if owner is None or owner.dead:
            self.called = True
            return
        super().__call__(*args)

    def cancel(self) -> None:
        """Withdraw the call; without effect once it was made."""
        self.greenlet = None
        super().cancel()


def _nothing() -> None:
    """Stand for the call of a cancelled timer."""
