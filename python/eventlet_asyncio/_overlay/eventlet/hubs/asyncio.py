"""
The hub on an asyncio event loop: the default.

The loop is chosen when the hub first has to run one:
what ``EVENTLET_ASYNCIO_LOOP`` names (``module:factory``),
else the loop set with ``asyncio.set_event_loop``, if it is neither running nor
closed, else a new one of the event loop policy.
"""

from __future__ import annotations

from eventlet._patch.isolate import protect
from eventlet._patch.originals import real_get_ident

# asyncio keeps the original modules, also if it is imported after they were patched.
protect()

import asyncio
import asyncio.events
import asyncio.log
import asyncio.selector_events
import contextlib
import os
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

from eventlet.hubs import (
    _cancelled,  # noqa: F401 - the bridge calls it; imported while nobody waits
    _ending,
    _loops,
    _nested,
    _slow,
    _tasks,
)
from eventlet.hubs.hub import BaseHub
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Hub", "is_available"]

LOOP_VARIABLE = "EVENTLET_ASYNCIO_LOOP"
VISIBLE_VARIABLE = "EVENTLET_ASYNCIO_VISIBLE_LOOP"


def is_available() -> bool:
    """Tell whether this hub can be used: always."""
    return True


class Hub(BaseHub):
    """A hub whose turns are callbacks of an asyncio event loop."""

    _driver = "asyncio"
    #: The loop that the hub runs when no other loop runs, once it was needed.
    _own_loop: asyncio.AbstractEventLoop | None = None
    #: Whether that is of the hub's making.
    _made_loop = False

    #: The former one, of a hub that is closed.
    _last_loop: asyncio.AbstractEventLoop | None = None
    #: While a coroutine of the loop forks: its task, and all tasks.
    _forking: tuple[asyncio.Task[Any], set[asyncio.Task[Any]]] | None = None

    #: The loop whose tasks are all green: the hub's own.
    _green_loop: asyncio.AbstractEventLoop | None = None

    def __init__(self) -> None:
        """Open the hub for the running OS thread; the loop is made when needed."""
        super().__init__()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The event loop that runs, will run, or has run the hub's turns."""
        event_loop = self._event_loop()
        if event_loop is None:
            # The hub is closed, with its OS thread perhaps: this stays to be looked at.
            if self._last_loop is None:
                self._last_loop = asyncio.new_event_loop()
                self._last_loop.close()
            event_loop = self._last_loop
        return event_loop

    def _choose_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop that the hub runs when no other loop runs."""
        # A former call may have been interrupted: what it made is taken up.
        if self._own_loop is None or self._own_loop.is_closed():
            named = os.environ.get(LOOP_VARIABLE)
            current = None if named else _current_loop()
            self._made_loop = current is None
            make = _factory(named) if current is None else partial(_same, current)
            with _Unlogged():
                # Nothing between the two: a loop that is made is kept.
                self._own_loop = make()
            if not hasattr(self._own_loop, "run_forever"):
                made, self._own_loop = self._own_loop, None
                message = (
                    f"{LOOP_VARIABLE}={named!r} returned {made!r}, not an event loop"
                )
                raise TypeError(message)
        if self._made_loop:
            # Whoever asks for the thread's loop gets the one that will run.
            asyncio.set_event_loop(self._own_loop)
        if self._green_loop is not self._own_loop:
            # Green calls may block in all tasks of a loop that is the hub's own. One whose
            # class leaves no room for this has plain tasks.
            with contextlib.suppress(AttributeError):
                self._own_loop.create_task = _core._green_tasks(  # type: ignore[method-assign]
                    self._own_loop.create_task
                )
            self._green_loop = self._own_loop
        return self._own_loop

    def _release_loop(self) -> None:
        """Close the loop that the hub made; one that the user set is left alone."""
        event_loop, self._own_loop = self._own_loop, None
        if event_loop is None:
            return
        self._last_loop = event_loop
        if self._green_loop is event_loop:
            self._green_loop = None
            vars(event_loop).pop("create_task", None)
        if not self._made_loop or event_loop.is_running():
            return
        try:
            _ending.finish(event_loop, event_loop.run_until_complete)
        finally:
            try:
                event_loop.close()
            except OSError:
                # The program has closed its descriptors.
                if not _nested.mend_loop(event_loop, -1):
                    raise
                event_loop.close()

    def _renew_loop(self, event_loop: asyncio.AbstractEventLoop) -> bool:
        """
        Have a forked child go on with the loop, in a coroutine of which it was forked.

        False if that cannot be: then the child takes another one.
        """
        if self._forking is None or not _nested.renew_loop(event_loop):
            return False
        running, tasks = self._forking
        for task in tasks:
            if task is not running:
                _tasks.dismiss(task)
        return True

    def _mend_loop(self, event_loop: asyncio.AbstractEventLoop, former: int) -> bool:
        """
        Have a loop go on whose descriptors were closed behind its back.

        Args:
            event_loop: The loop.
            former: The number of the hub's poller that it watched.

        False if it is not of a kind that allows that.
        """
        _nested.mend_runs()
        return _nested.mend_loop(event_loop, former)

    def _forget_loop(self) -> None:
        """Forget the loop, which after a fork is the parent's."""
        event_loop, self._own_loop = self._own_loop, None
        if event_loop is not None and asyncio._get_running_loop() is event_loop:
            asyncio._set_running_loop(None)

    def _debug_begins(self) -> None:
        """Note that the loop is in debug mode from now on."""
        _slow.begin()

    def _debug_label(self, what: object) -> str:
        """Name what the hub is about to run."""
        return _slow.label(what)

    def _debug_slow(self, label: str, what: object, seconds: float) -> None:
        """Report what ran for long."""
        _slow.report(label, what, seconds)


def _same(event_loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
    return event_loop


# The OS threads that are making a loop.
_makers: set[int] = set()


class _Unlogged:
    """
    Keeps asyncio from logging, in the OS thread that makes a loop, that it does so.

    Its logger may have to wait for a lock of logging's, or have a handler that waits.
    Where that is green it would need the hub that is just being made. Other OS threads
    log meanwhile, and may be making a loop themselves.
    """

    def __init__(self) -> None:
        self._maker = real_get_ident()

    def __enter__(self) -> None:
        _makers.add(self._maker)

    def __exit__(self, *_: object) -> None:
        _makers.discard(self._maker)


class _Logger:
    """Stands for asyncio's logger where loops are made."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name)

    def debug(self, message: object, *args: object, **options: Any) -> None:
        """Log, unless this OS thread is making a loop for its hub."""
        if real_get_ident() not in _makers:
            options["stacklevel"] = options.get("stacklevel", 1) + 1
            self._logger.debug(message, *args, **options)


def _current_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop set for this thread, if it can be used."""
    policy: Any = None
    with contextlib.suppress(Exception):
        # The public function warns from 3.14 on. To silence it here would change what
        # other OS threads are warned of.
        policy = _get_policy()
    local = getattr(policy, "_local", None)
    current = getattr(local, "_loop", None)
    if current is None or current.is_closed() or current.is_running():
        return None
    return current  # type: ignore[no-any-return]


_get_policy: Callable[[], Any] = getattr(
    asyncio.events, "_get_event_loop_policy", asyncio.get_event_loop_policy
)


def _factory(named: str | None) -> Callable[[], asyncio.AbstractEventLoop]:
    """Return what makes a loop: what ``module:factory`` names, or the policy."""
    if not named:
        return asyncio.new_event_loop
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
    return factory  # type: ignore[no-any-return]


asyncio.selector_events.logger = _Logger(asyncio.log.logger)  # type: ignore[attr-defined]
_visible = os.environ.get(VISIBLE_VARIABLE) == "1"
_core._set_visible_loop(_visible)
_loops.install(_current_loop, visible=_visible)
_tasks.install()
_ending.install()
