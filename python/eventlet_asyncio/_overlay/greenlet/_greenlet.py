"""
Bookkeeping that greenlet's own test suite asks its extension module for.

Not part of greenlet's public API; kept so that the suite can judge the engine.
"""

from __future__ import annotations

import time

from eventlet_asyncio._core import (
    GreenletExit,
    _greenlet_counts,
    error,
    getcurrent,
    gettrace,
    greenlet,
    settrace,
)
from eventlet_asyncio._core import _set_thread_local as set_thread_local

__all__ = [
    "CLOCKS_PER_SEC",
    "GreenletExit",
    "enable_optional_cleanup",
    "error",
    "get_clocks_used_doing_optional_cleanup",
    "get_pending_cleanup_count",
    "get_total_main_greenlets",
    "get_tstate_trash_delete_nesting",
    "getcurrent",
    "gettrace",
    "greenlet",
    "set_thread_local",
    "settrace",
]

#: Unit of :func:`get_clocks_used_doing_optional_cleanup`.
CLOCKS_PER_SEC = int(1 / time.clock_getres(time.CLOCK_PROCESS_CPUTIME_ID))

_cleanup = True


def enable_optional_cleanup(enabled: bool) -> None:  # noqa: FBT001 - upstream's
    """Choose what :func:`get_clocks_used_doing_optional_cleanup` answers."""
    global _cleanup  # noqa: PLW0603 - a process-wide switch, as upstream's
    _cleanup = bool(enabled)


def get_clocks_used_doing_optional_cleanup() -> int | None:
    """Return 0, since stacks of ended threads are found without a search, or None."""
    return 0 if _cleanup else None


def get_pending_cleanup_count() -> int:
    """Return how many greenlets wait for their own thread to end them."""
    return _greenlet_counts()[1]


def get_total_main_greenlets() -> int:
    """Return how many threads have a main greenlet."""
    return _greenlet_counts()[0]


def get_tstate_trash_delete_nesting() -> int:
    """Return 0: the engine saves nested deallocations with each stack."""
    return 0
