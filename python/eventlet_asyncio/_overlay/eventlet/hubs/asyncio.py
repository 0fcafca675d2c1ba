"""
The hub on an asyncio event loop: the default.

The loop is chosen when the hub first has to run one:
what ``EVENTLET_ASYNCIO_LOOP`` names (``module:factory``),
else the loop set with ``asyncio.set_event_loop``, if it is neither running nor
closed, else a new one of the event loop policy.
"""

from __future__ import annotations

from eventlet._patch.isolate import protect

# asyncio keeps the original modules, also if it is imported after they were patched.
protect()

import asyncio
import contextlib
import os
import warnings
from importlib import import_module
from typing import Any

from eventlet.hubs import _libraries, _loops
from eventlet.hubs.hub import BaseHub
from eventlet_asyncio import _core

__all__ = ["Hub", "is_available"]

LOOP_VARIABLE = "EVENTLET_ASYNCIO_LOOP"
VISIBLE_VARIABLE = "EVENTLET_ASYNCIO_VISIBLE_LOOP"


def is_available() -> bool:
    """Tell whether this hub can be used: always."""
    return True


class Hub(BaseHub):
    """A hub whose turns are callbacks of an asyncio event loop."""

    _driver = "asyncio"

    #: The loop whose tasks are all green: the hub's own.
    _green_loop: asyncio.AbstractEventLoop | None = None

    def __init__(self) -> None:
        """Open the hub for the running OS thread; the loop is made when needed."""
        super().__init__()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs, or will run, the hub's turns."""
        event_loop = self._event_loop()
        if event_loop is None:
            message = "this hub is closed: call eventlet.hubs.get_hub() again"
            raise RuntimeError(message)
        return event_loop

    def _choose_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the hub runs when no other loop runs."""
        event_loop = self._find_loop()
        # Green calls may block in all tasks of a loop that is the hub's own. A loop
        # whose class leaves no room for this has plain tasks.
        with contextlib.suppress(AttributeError):
            self._green_loop = event_loop
            event_loop.create_task = _core._green_tasks(event_loop.create_task)  # type: ignore[method-assign]
        return event_loop

    def _find_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that is named or set, or a new one."""
        named = os.environ.get(LOOP_VARIABLE)
        self._made_loop = True
        if named:
            return _loop_from(named)
        current = _current_loop()
        if current is not None:
            self._made_loop = False
            return current
        fresh = asyncio.new_event_loop()
        # Whoever asks for the thread's loop gets the one that will run.
        asyncio.set_event_loop(fresh)
        return fresh

    def _release_loop(self, event_loop: asyncio.AbstractEventLoop) -> None:
        """Close the loop that the hub made; one that the user set is left alone."""
        if self._green_loop is event_loop:
            self._green_loop = None
            vars(event_loop).pop("create_task", None)
        if getattr(self, "_made_loop", False) and not event_loop.is_running():
            event_loop.close()


def _current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop set for this thread, if it can be used."""
    policy: Any = None
    with warnings.catch_warnings(), contextlib.suppress(Exception):
        # Policies and their loops are deprecated from 3.14 on, but not gone.
        warnings.simplefilter("ignore", DeprecationWarning)
        policy = asyncio.get_event_loop_policy()
    local = getattr(policy, "_local", None)
    current = getattr(local, "_loop", None)
    if current is None or current.is_closed() or current.is_running():
        return None
    return current  # type: ignore[no-any-return]


def _loop_from(named: str) -> asyncio.AbstractEventLoop:
    """Return a loop of the factory that ``module:factory`` names."""
    module_name, colon, attribute = named.partition(":")
    if not colon or not attribute:
        message = (
            f"{LOOP_VARIABLE}={named!r} does not name a loop factory: "
            "write it as module:factory, for example uvloop:new_event_loop"
        )
        raise ValueError(message)
    factory: Any = import_module(module_name)
    for part in attribute.split("."):
        factory = getattr(factory, part)
    event_loop = factory()
    if not hasattr(event_loop, "run_forever"):
        message = (
            f"{LOOP_VARIABLE}={named!r} returned {event_loop!r}, not an event loop"
        )
        raise TypeError(message)
    return event_loop  # type: ignore[no-any-return]


_core._set_visible_loop(os.environ.get(VISIBLE_VARIABLE) == "1")
_loops.install(_current_loop)
_libraries.install()
