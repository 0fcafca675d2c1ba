"""
Event loops that green code meets: its own hub's, and those it runs itself.

asyncio takes for granted that an OS thread runs one loop at a time,
and that whoever calls ``run_forever`` has the thread for itself.
Green threads break both: many may call ``asyncio.run`` at once,
and the hub's loop runs beneath them all the while.
So some things of asyncio behave differently in green code;
in coroutines, and in OS threads without green threads, nothing changes.

- ``run_forever`` of another loop waits cooperatively: see ``_nested``.
- ``run_until_complete`` and ``run_forever`` of the hub's own loop,
  which runs already, wait for it instead of raising; ``close`` stops it first.
- ``create_task``, ``ensure_future`` and ``gather`` use the hub's loop
  where no loop is running.
  They find their loop through the module's global ``events``,
  so that is replaced in ``asyncio.tasks`` alone:
  the function objects stay, also where they were imported by name.
- ``current_task`` gives None where no loop is running, instead of raising.
- ``is_running`` of the loop beneath green code is False there,
  as that loop is hidden from it.
"""

from __future__ import annotations

import asyncio
import asyncio.base_events
import asyncio.selector_events
import asyncio.tasks
import functools
import os
import threading
import warnings
from asyncio import events
from types import ModuleType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from eventlet._patch.isolate import when_imported
from eventlet.hubs import _nested, _wakeups
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable

_installed = False
# Greenlets that wait for a loop, run by their hub, to be stopped.
_waiting_for_stop: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()


def install(
    usable_loop: Callable[[], asyncio.AbstractEventLoop | None], *, visible: bool
) -> None:
    """
    Make asyncio's loops cooperative in green code; once per process.

    Args:
        visible: Whether green code sees the loop beneath it as running.
        usable_loop: Returns the loop set for the running OS thread,
            unless that cannot be run.
    """
    global _installed  # noqa: PLW0603 - the process's
    if _installed:
        return
    _installed = True
    base = asyncio.base_events.BaseEventLoop
    is_running = base.is_running
    _replace(base, nest=_nested.run, visible=visible)
    _replace_close(asyncio.selector_events.BaseSelectorEventLoop, is_running)
    asyncio.tasks.events = _events_of_tasks(usable_loop)  # type: ignore[attr-defined]
    current_task = _core._current_task_beside(asyncio.tasks.current_task)
    asyncio.current_task = asyncio.tasks.current_task = current_task
    when_imported("uvloop", functools.partial(_install_uvloop, visible=visible))
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork_in_parent,
        after_in_child=_after_fork_in_child,
    )


def _install_uvloop(uvloop: ModuleType, *, visible: bool) -> None:
    is_running = uvloop.Loop.is_running
    _replace(uvloop.Loop, nest=_nested.uvloop_runner(uvloop), visible=visible)
    _replace_close(uvloop.Loop, is_running)


def _before_fork() -> None:
    """Note the tasks of the hub's own loop: from CPython 3.14 on a child forgets them."""
    hub: Any = _core._existing_hub()
    event_loop = getattr(hub, "_own_loop", None)
    if event_loop is not None:
        running = asyncio.tasks.current_task(event_loop)
        if running is not None:
            hub._forking = running, asyncio.tasks.all_tasks(event_loop)


def _after_fork_in_parent() -> None:
    _take_forking()


def _after_fork_in_child() -> None:
    """Show the coroutine that forked its loop, which asyncio has forgotten by now."""
    forking = _take_forking()
    event_loop = _core._loop_in_child()
    if event_loop is not None and forking is not None:
        task, _ = forking
        events._set_running_loop(event_loop)
        if asyncio.tasks.current_task() is None:
            # From CPython 3.14 on the tasks are forgotten, too.
            asyncio.tasks._swap_current_task(event_loop, task)  # type: ignore[attr-defined]
            asyncio.tasks._unregister_task(task)
            asyncio.tasks._register_task(task)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            events.set_event_loop(event_loop)


def _take_forking() -> tuple[Any, set[Any]] | None:
    """Return, and forget, what was noted for the fork."""
    hub: Any = _core._existing_hub()
    forking: tuple[Any, set[Any]] | None = getattr(hub, "_forking", None)
    if forking is not None:
        hub._forking = None
    return forking


def _replace(cls: type[Any], nest: Callable[..., None], *, visible: bool) -> None:
    """Replace the methods of a loop class that run the loop, and tell whether it runs."""
    run_forever = cls.run_forever
    run_until_complete = cls.run_until_complete
    is_running = cls.is_running

    @functools.wraps(run_forever)
    def forever(self: Any) -> None:
        if not _core._in_green_code():
            # Green threads that wait since before go on under this loop.
            _core._adopt(self)
            _wakeups.clear()
            try:
                run_forever(self)
            finally:
                _has_stopped(self)
        elif is_running(self) and self is _hub_loop():
            _wait_for_stop(self)
        else:
            nest(self, run_forever)

    @functools.wraps(run_until_complete)
    def until_complete(self: Any, future: Any) -> Any:
        if _core._in_green_code() and is_running(self) and self is _hub_loop():
            return _wait_for(self, future)
        return run_until_complete(self, future)

    @functools.wraps(is_running)
    def running(self: Any) -> bool:
        if not is_running(self):
            return False
        return not (_core._in_green_code() and self is _hub_loop())

    cls.run_forever = forever
    cls.run_until_complete = until_complete
    if not visible:
        cls.is_running = running


def _replace_close(cls: type[Any], is_running: Callable[[Any], bool]) -> None:
    """Replace the method of a loop class that refuses to close a running loop."""
    close = cls.close

    @functools.wraps(close)
    def stop_and_close(self: Any) -> None:
        # To name the hub's loop makes one where there is none: not for a loop that stands.
        event_loop = _hub_loop() if is_running(self) else None
        if event_loop is not None and self is event_loop:
            # Where green code calls, the hub runs it beneath: it takes another one.
            _core._release(event_loop)
        if is_running(self):
            message = "Cannot close a running event loop"
            raise RuntimeError(message)
        if isinstance(self, _Selecting):
            # Its making may have been interrupted before this was there, or even the pipe.
            vars(self).setdefault("_signal_handlers", {})
        if isinstance(self, _Selecting) and not hasattr(self, "_ssock"):
            _close_half_made(self)
        else:
            close(self)

    cls.close = stop_and_close


_Selecting = asyncio.selector_events.BaseSelectorEventLoop


def _close_half_made(event_loop: Any) -> None:
    """Close what a loop has whose constructor did not come to its end."""
    asyncio.base_events.BaseEventLoop.close(event_loop)
    selector, event_loop._selector = getattr(event_loop, "_selector", None), None
    if selector is not None:
        selector.close()


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
