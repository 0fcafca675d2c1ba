"""The engine on its own poller, without asyncio, under the name of upstream's poll hub."""

from __future__ import annotations

from typing import Any

from eventlet.hubs.hub import BaseHub

__all__ = ["Hub", "is_available"]


def is_available() -> bool:
    """Tell whether this hub can be used: always."""
    return True


class Hub(BaseHub):
    """A hub that is driven by the engine's own poller."""

    def add(self, evtype: str, fileno: int, cb: Any, tb: Any, mac: Any = None) -> Any:
        """Register a listener; see `BaseHub.add`."""
        return super().add(evtype, fileno, cb, tb, mac)

    def register(self, fileno: int, new: bool = False) -> None:
        """Do nothing: the engine registers descriptors as green threads wait."""

    def do_poll(self, seconds: float) -> None:
        """Poll once, for at most ``seconds``."""
        self._poll(seconds)
