"""The engine on its own poller, without asyncio, under the name of upstream's selects hub."""

from __future__ import annotations

from eventlet.hubs.hub import BaseHub

__all__ = ["BAD_SOCK", "Hub", "is_available"]

#: Errors that select() reports for a descriptor that is not open.
BAD_SOCK = {9}


def is_available() -> bool:
    """Tell whether this hub can be used: always."""
    return True


class Hub(BaseHub):
    """A hub that is driven by the engine's own poller."""
