"""
Events: one value, or one exception, for any number of waiting green threads.

:class:`Event` is native.
It may be sent from any OS thread: each waiter is woken in its own.
"""

from __future__ import annotations

from eventlet_asyncio._core import Event

__all__ = ["NOT_USED", "Event"]


class _NotUsed:
    """The type of :data:`NOT_USED`."""

    def __repr__(self) -> str:
        """Show the public name."""
        return "NOT_USED"


#: Stands for "no value": for callers that have to tell it from None.
NOT_USED = _NotUsed()
