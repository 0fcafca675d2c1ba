"""The moment at which nothing is left to do: who waits for it is served before the hub sleeps."""

from __future__ import annotations

from _thread import get_ident
from typing import TYPE_CHECKING, Any

from eventlet_asyncio.testing._engine import watched_hub

if TYPE_CHECKING:
    from eventlet_asyncio.testing._clock import VirtualClock


class Watch:
    """
    The one hook that the engine calls before a hub sleeps.

    Attributes:
        clock: The virtual clock that is in force, if any.
    """

    def __init__(self) -> None:
        self.clock: VirtualClock | None = None
        # By OS thread: events to send when its hub is idle.
        self._waiting: dict[int, list[Any]] = {}

    def wait(self) -> Any:
        """Return the event that is sent when this OS thread's hub is idle."""
        from eventlet.event import Event

        event = Event()
        self._waiting.setdefault(get_ident(), []).append(event)
        self.update()
        return event

    def update(self) -> None:
        """Put the hook in, or take it out."""
        from eventlet_asyncio import _core

        wanted = self.clock is not None or bool(self._waiting)
        _core._set_idle_hook(self._before_sleep if wanted else None)

    def _before_sleep(self, seconds: float | None) -> float | None:
        """Serve those who wait; then let the clock say how long to sleep."""
        waiting = self._waiting.pop(get_ident(), None)
        if waiting:
            for event in waiting:
                event.send()
            self.update()
            return 0.0
        return None if self.clock is None else self.clock.before_sleep(seconds)


watch = Watch()


def wait_until_idle() -> None:
    """
    Wait until everybody else waits. A switch point.

    Returns when no other green thread and no task of this OS thread can go on: all of
    them wait for a timer, a descriptor, each other or another OS thread. A far timer
    does not keep it busy, and neither does a job that runs in an OS thread.

    Raises:
        RuntimeError: On another implementation of eventlet, and on a loop that is not
            asyncio's own.

    Example:
        >>> import eventlet
        >>> seen = []
        >>> _ = eventlet.spawn(seen.append, "ran")
        >>> wait_until_idle()
        >>> seen
        ['ran']
    """
    watched_hub("wait_until_idle()")
    watch.wait().wait()
