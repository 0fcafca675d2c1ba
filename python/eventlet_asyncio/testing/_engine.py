"""Access to the native engine, and the error where it is not there."""

from __future__ import annotations

import sys
from typing import Any

from eventlet_asyncio._activate import is_active


def engine(what: str) -> Any:
    """
    Return the native module, for what only this implementation can do.

    Raises:
        RuntimeError: If ``eventlet`` is another implementation.
    """
    if not is_active():
        message = (
            f"{what} needs this implementation of eventlet: run the tests with"
            " --green-hub=ours, or set EVENTLET_HUB=asyncio"
        )
        raise RuntimeError(message)
    from eventlet_asyncio import _core

    return _core


def watched_hub(what: str) -> Any:
    """
    Return this OS thread's hub, if it can tell when it is idle.

    Raises:
        RuntimeError: If it is on a loop that sleeps elsewhere, as uvloop does.
    """
    engine(what)
    from eventlet import hubs

    hub = hubs.get_hub()
    loop = getattr(hub, "loop", None)
    if loop is not None and not hasattr(loop, "_selector"):
        kind = type(loop)
        message = (
            f"{what} needs a loop of asyncio's own, and this hub is on"
            f" {kind.__module__}.{kind.__qualname__}, which does not tell before it"
            " sleeps: unset EVENTLET_ASYNCIO_LOOP for this test"
        )
        raise RuntimeError(message)
    return hub


def existing_hub() -> Any:
    """Return this OS thread's hub, None if there is none. Makes nothing."""
    core = sys.modules.get("eventlet_asyncio._core")
    return None if core is None else core._existing_hub()


def is_ours() -> bool:
    """Tell whether this implementation is loaded. Loads nothing."""
    return "eventlet_asyncio._core" in sys.modules and "eventlet" in sys.modules
