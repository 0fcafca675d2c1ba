"""The engine on its own poller, without asyncio, under the name of upstream's epolls hub."""

from __future__ import annotations

from eventlet.hubs import poll

__all__ = ["Hub", "is_available"]


def is_available() -> bool:
    """Tell whether this hub can be used: always."""
    return True


class Hub(poll.Hub):
    """A hub that is driven by the engine's own poller."""
