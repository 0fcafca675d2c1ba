"""
The hub's own loop where it would sleep: turns without passes of the loop.

The hub's descriptors are behind one reader of the loop, so each turn could be a callback of
the loop's, and each would cost a pass of it.
While the loop has nothing else to do, its selector takes the turns itself: see ``_sleep``.
"""

from __future__ import annotations

import asyncio.base_events
import asyncio.selector_events
import contextlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from eventlet.hubs.hub import BaseHub

_Base: Any = asyncio.base_events.BaseEventLoop
_run_once = _Base._run_once
# Of the module as asyncio knows it, however programs have patched theirs.
_selectors: Any = asyncio.selector_events.selectors  # type: ignore[attr-defined]
_Poller: Any = getattr(_selectors, "EpollSelector", None)


@contextlib.contextmanager
def turns(hub: BaseHub, event_loop: Any) -> Iterator[None]:
    """
    Have the hub take its turns where a loop would sleep, as long as it runs.

    Does nothing with a loop that does not sleep as asyncio's own ones do.
    """
    selector = getattr(event_loop, "_selector", None)
    asleep = getattr(type(event_loop), "_run_once", None) is _run_once
    if not asleep or type(selector) is not _Poller:
        yield
        return
    event_loop._selector = _TurningSelector(hub, event_loop, selector)
    try:
        yield
    finally:
        event_loop._selector = selector


class _TurningSelector:
    """A selector in which the hub takes its turns while nothing else happens."""

    def __init__(self, hub: Any, event_loop: Any, selector: Any) -> None:
        self._sleep = hub._sleep
        self._event_loop = event_loop
        self._selector = selector
        self._fileno = selector.fileno()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the selector's own."""
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready, after at most ``timeout`` seconds. A switch point."""
        idle = timeout is None or timeout > 0
        if idle and not self._sleep(self._event_loop, self._fileno, timeout):
            return []
        return self._selector.select(0)
