"""The name of upstream's kqueue hub; BSD and macOS only, as there."""

from __future__ import annotations

import select

from eventlet.hubs import poll

__all__ = ["Hub", "is_available"]


def is_available() -> bool:
    """Tell whether the system has kqueue."""
    return hasattr(select, "kqueue")


class Hub(poll.Hub):
    """A hub that is driven by the engine's own poller."""
