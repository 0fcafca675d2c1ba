"""
Tell what the caller runs on, without loading what is not in use.

The answer is about the caller, not about the process: in one process the main
thread may run green threads, a worker thread plain code, and a task a coroutine.
"""

from __future__ import annotations

import os
import sys
import threading
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from types import ModuleType


def where() -> Literal["eventlet", "asyncio", "threads"]:
    """
    Tell whether the caller runs on Eventlet, in asyncio, or on a plain thread.

    ``"asyncio"`` in a task or callback of a loop; ``"eventlet"`` in an OS thread
    that has a hub, and in the main thread of a process that Eventlet has patched;
    ``"threads"`` everywhere else, also in an OS thread of a patched process that
    has no hub, as those of ``tpool``. An ``eventlet`` that some library has merely
    imported decides nothing. Not a switch point.
    """
    hub = hub_of_this_thread()
    asyncio = sys.modules.get("asyncio")
    # With upstream's asyncio hub green threads see the hub's loop.
    if (
        asyncio is not None
        and asyncio._get_running_loop() is not None
        and (
            hub is None
            or asyncio.current_task() is not None
            or _current() is hub.greenlet
        )
    ):
        return "asyncio"
    if hub is not None or (_patched() and in_main_thread()):
        return "eventlet"
    return "threads"


def hub_of_this_thread() -> Any:
    """Return the hub of this OS thread, if it has one; make none."""
    hubs: Any = sys.modules.get("eventlet.hubs")
    if hubs is None:
        return None
    local = getattr(hubs, "_threadlocal", None)
    if local is not None:
        return getattr(local, "hub", None)
    return getattr(hubs._foreign, "hub", None) or hubs._core._existing_hub()


def native(name: str) -> ModuleType:
    """Return a standard module as it is without Eventlet's patches."""
    patcher = sys.modules.get("eventlet.patcher")
    if patcher is None:
        return import_module(name)
    module: ModuleType = patcher.original(name)
    return module


def in_main_thread() -> bool:
    """Tell whether this is the process's first OS thread, whatever is patched."""
    return threading.get_native_id() == os.getpid()


def is_native_engine() -> bool:
    """Tell whether the eventlet that is loaded is this distribution's."""
    return "eventlet_asyncio._core" in sys.modules and "eventlet" in sys.modules


def _current() -> Any:
    """Return the running greenlet."""
    return sys.modules["greenlet"].getcurrent()


def _patched() -> bool:
    """Tell whether Eventlet has patched what programs wait with."""
    patcher = sys.modules.get("eventlet.patcher")
    return patcher is not None and any(
        patcher.is_monkey_patched(name) for name in ("thread", "socket", "time")
    )
