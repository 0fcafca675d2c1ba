"""
Event loops that green code meets: its own hub's, and those it runs itself.

asyncio takes for granted that an OS thread runs one loop at a time,
and that whoever calls ``run_forever`` has the thread for itself.
Green threads break both: many may call ``asyncio.run`` at once,
and the hub's loop runs beneath them all the while.
So some things of asyncio behave differently in green code;
in coroutines, and in OS threads without green threads, nothing changes.

- ``run_forever`` of another loop waits cooperatively:
  where the loop would sleep in its selector, the green thread parks
  on the selector's descriptor.
- ``run_until_complete`` and ``run_forever`` of the hub's own loop,
  which runs already, wait for it instead of raising; ``close`` stops it first.
- ``create_task``, ``ensure_future`` and ``gather`` use the hub's loop
  where no loop is running.
  They find their loop through the module's global ``events``,
  so that is replaced in ``asyncio.tasks`` alone:
  the function objects stay, also where they were imported by name.
- ``current_task`` gives None where no loop is running, instead of raising.

uvloop offers no selector to replace.
While green code runs such a loop, it runs the hub's turns as well,
and tasks of the hub's own loop stand still.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.selector_events
import asyncio.tasks
import functools
import importlib.util
import sys
import threading
import time
from asyncio import events
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec

#: Seconds for which a busy loop may keep other green threads waiting.
SLICE = 0.0005
#: Seconds between two looks at a selector that has no descriptor to wait for.
INTERVAL = 0.005

_installed = False
# Greenlets that wait for a loop, run by their hub, to be stopped.
_waiting_for_stop: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()


def install(usable_loop: Callable[[], asyncio.AbstractEventLoop | None]) -> None:
    """
    Make asyncio's loops cooperative in green code; once per process.

    Args:
        usable_loop: Returns the loop set for the running OS thread,
            unless that cannot be run.
    """
    global _installed  # noqa: PLW0603 - the process's
    if _installed:
        return
    _installed = True
    base = asyncio.base_events.BaseEventLoop
    _replace(base, nest=_run_nested)
    _replace_close(asyncio.selector_events.BaseSelectorEventLoop)
    asyncio.tasks.events = _events_of_tasks(usable_loop)  # type: ignore[attr-defined]
    current_task = _core._current_task_beside(asyncio.tasks.current_task)
    asyncio.current_task = asyncio.tasks.current_task = current_task
    if "uvloop" in sys.modules:
        _install_uvloop(sys.modules["uvloop"])
    else:
        sys.meta_path.insert(0, _WhenImported("uvloop", _install_uvloop))


def _install_uvloop(uvloop: ModuleType) -> None:
    _replace(uvloop.Loop, nest=_run_lent)
    _replace_close(uvloop.Loop)


def _replace(cls: type[Any], nest: Callable[..., None]) -> None:
    """Replace the two methods of a loop class that run the loop."""
    run_forever = cls.run_forever
    run_until_complete = cls.run_until_complete

    @functools.wraps(run_forever)
    def forever(self: Any) -> None:
        if not _core._in_green_code():
            # Green threads that wait since before go on under this loop.
            _core._adopt(self)
            try:
                run_forever(self)
            finally:
                _has_stopped(self)
        elif self.is_running() and self is _hub_loop():
            _wait_for_stop(self)
        else:
            nest(self, run_forever)

    @functools.wraps(run_until_complete)
    def until_complete(self: Any, future: Any) -> Any:
        if _core._in_green_code() and self.is_running() and self is _hub_loop():
            return _wait_for(self, future)
        return run_until_complete(self, future)

    cls.run_forever = forever
    cls.run_until_complete = until_complete


def _replace_close(cls: type[Any]) -> None:
    """Replace the method of a loop class that refuses to close a running loop."""
    close = cls.close

    @functools.wraps(close)
    def stop_and_close(self: Any) -> None:
        event_loop = _hub_loop()
        if event_loop is not None and self is event_loop and self.is_running():
            # Where green code calls, the hub runs it beneath: it takes another one.
            _core._release(event_loop)
        close(self)

    cls.close = stop_and_close


def _hub_loop() -> asyncio.AbstractEventLoop | None:
    """Return the loop that runs, or will run, the hub of this OS thread."""
    hub = _core._existing_hub()
    return None if hub is None else hub._event_loop()


def _wait_for(event_loop: Any, future: Any) -> Any:
    """``run_until_complete`` on a loop that the hub runs already."""
    green = _core.spawn_for_awaitable(asyncio.ensure_future(future, loop=event_loop))
    try:
        return green.wait()
    except BaseException:
        if not green.dead:
            green.kill()
        raise


def _wait_for_stop(event_loop: Any) -> None:
    """``run_forever`` on a loop that the hub runs already: until stop() is called."""
    hub: Any = _core._existing_hub()
    waiting = _waiting_for_stop.setdefault(event_loop, [])
    caller = _core.getcurrent()
    waiting.append(caller)
    try:
        hub.switch()
    finally:
        if caller in waiting:
            waiting.remove(caller)


def _has_stopped(event_loop: Any) -> None:
    """Wake whoever waits for a stop(): the hub itself goes on with the loop."""
    hub: Any = _core._existing_hub()
    for caller in _waiting_for_stop.pop(event_loop, ()):
        hub.schedule_call_global(0, caller.switch)


def _run_nested(event_loop: Any, run_forever: Callable[[Any], None]) -> None:
    """Run a loop whose selector parks the green thread instead of sleeping."""
    selector = getattr(event_loop, "_selector", None)
    if selector is None:
        _run_lent(event_loop, run_forever)
        return
    event_loop._selector = _ParkingSelector(event_loop, selector)
    marked = _core._mark_in_loop(True)
    try:
        run_forever(event_loop)
    finally:
        _core._mark_in_loop(marked)
        event_loop._selector = selector


def _run_lent(event_loop: Any, run_forever: Callable[[Any], None]) -> None:
    """Run a loop that sleeps with the whole OS thread: it runs the hub's turns, too."""
    _core._lend()
    try:
        run_forever(event_loop)
    finally:
        _core._take_back()


class _ParkingSelector:
    """The selector of a loop that green code runs: ``select`` lets others run meanwhile."""

    def __init__(self, event_loop: Any, selector: Any) -> None:
        self._event_loop = event_loop
        self._selector = selector
        self._outer_hooks = sys.get_asyncgen_hooks()
        self._until = time.monotonic() + SLICE
        fileno = getattr(selector, "fileno", None)
        self._descriptor: int | None = None if fileno is None else fileno()

    def __getattr__(self, name: str) -> Any:
        """Everything else is the selector's own."""
        return getattr(self._selector, name)

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready, after at most ``timeout`` seconds. A switch point."""
        if timeout is None or timeout > 0:
            found = self._selector.select(0)
            if not found:
                self._sleep(timeout)
                self._until = time.monotonic() + SLICE
                return self._selector.select(0)
            if time.monotonic() < self._until:
                return found
        elif time.monotonic() < self._until:
            return self._selector.select(0)
        self._outside(_core._loop_waits)
        self._until = time.monotonic() + SLICE
        return self._selector.select(0)

    def _sleep(self, timeout: float | None) -> None:
        """
        Park until the selector has something, or other green code wakes the loop.

        asyncio wakes a loop only from other OS threads; a callback scheduled in the
        loop's own thread finds it awake. Here it may sleep, so it is told.
        """
        event_loop = self._event_loop
        for name in ("call_soon", "call_at", "stop"):
            setattr(event_loop, name, self._waking(name))
        try:
            if self._descriptor is None:
                self._outside(_core._loop_waits, None, None)
                pause = INTERVAL if timeout is None else min(timeout, INTERVAL)
                self._outside(_core.sleep, pause)
            else:
                self._outside(_core._loop_waits, self._descriptor, timeout)
        finally:
            for name in ("call_soon", "call_at", "stop"):
                event_loop.__dict__.pop(name, None)

    def _waking(self, name: str) -> Callable[..., Any]:
        """Return the loop's method, with a wake-up after the call."""
        event_loop = self._event_loop
        method = getattr(event_loop, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            event_loop._write_to_self()
            return result

        return call

    def _outside(self, wait: Callable[..., None], *args: Any) -> None:
        """Wait with the hooks of the code beneath, which other loops rely on."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(*self._outer_hooks)
        try:
            wait(*args)
        finally:
            sys.set_asyncgen_hooks(*hooks)


def _events_of_tasks(
    usable_loop: Callable[[], asyncio.AbstractEventLoop | None],
) -> ModuleType:
    """Return asyncio.events for asyncio.tasks: the hub's loop stands in for a missing one."""
    module = ModuleType(events.__name__, events.__doc__)
    module.__dict__.update(events.__dict__)
    running = events._get_running_loop

    def stand_in() -> asyncio.AbstractEventLoop | None:
        hub = _core._existing_hub()
        if hub is None:
            if threading.current_thread() is not threading.main_thread():
                return None
            from eventlet import hubs

            hub = hubs.get_hub()
        return hub._event_loop()  # type: ignore[no-any-return]

    def get_running_loop() -> asyncio.AbstractEventLoop:
        return running() or stand_in() or events.get_running_loop()

    def get_event_loop(*args: Any, **kwargs: Any) -> asyncio.AbstractEventLoop:
        # A loop set by hand comes before the hub's, as it would without a hub.
        return running() or usable_loop() or stand_in() or events.get_event_loop()

    module.get_running_loop = get_running_loop  # type: ignore[attr-defined]
    module.get_event_loop = get_event_loop  # type: ignore[attr-defined]
    if hasattr(events, "_get_event_loop"):
        module._get_event_loop = get_event_loop  # type: ignore[attr-defined]
    return module


class _WhenImported:
    """A finder that has something done to a module right after it was imported."""

    def __init__(self, name: str, action: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._action = action
        self._looking = False

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module as others do, and wrap its loader."""
        if name != self._name or self._looking:
            return None
        self._looking = True
        try:
            spec = importlib.util.find_spec(name)
        finally:
            self._looking = False
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            load(module)
            if self in sys.meta_path:
                sys.meta_path.remove(self)
                self._action(module)

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
