"""
What a loop is owed that the hub gives up, at the latest when the program ends.

Its tasks are cancelled, and its asynchronous generators closed.
``asyncio.run`` does that for its own loop.
The hub's loop ends with the program, without anybody's call.
Green threads are abandoned then, as ever;
but they run beside the tasks for as long as these clean up.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

from eventlet._patch.isolate import when_imported
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, None]], object]

#: How long the cleanup of tasks, and then that of generators, may take.
SECONDS = 5.0

_finished = False


def finish(event_loop: asyncio.AbstractEventLoop, run: Run) -> None:
    """
    Cancel a loop's tasks and close its asynchronous generators.

    Args:
        event_loop: The loop.
        run: Runs a coroutine on it to the end. Not called if there is nothing to do.
    """
    if event_loop.is_closed():
        return
    tasks = [task for task in asyncio.all_tasks(event_loop) if not task.done()]
    # At once: those that have not begun never will.
    for task in tasks:
        task.cancel()
    # Callbacks of tasks that have ended may be due still: they let worker threads go.
    # uvloop shows neither these nor its generators, and so is run.
    due = (getattr(event_loop, name, True) for name in ("_asyncgens", "_ready"))
    if tasks or any(due):
        run(_finish(event_loop, tasks))


async def _finish(
    event_loop: asyncio.AbstractEventLoop, tasks: list[asyncio.Task[Any]]
) -> None:
    if tasks:
        done, left = await asyncio.wait(tasks, timeout=SECONDS)
        for task in left:
            message = "a task did not end when it was cancelled at the end of its loop"
            event_loop.call_exception_handler({"message": message, "task": task})
        for task in done:
            error = None if task.cancelled() else task.exception()
            if isinstance(error, Exception):
                message = "unhandled exception of a task at the end of its loop"
                event_loop.call_exception_handler(
                    {"message": message, "exception": error, "task": task}
                )
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(event_loop.shutdown_asyncgens(), SECONDS)
    await _close_lost(event_loop)


async def _close_lost(event_loop: asyncio.AbstractEventLoop) -> None:
    """Wait for tasks that close generators which the cleanup has let go of."""
    # Such a task is made by a callback of the loop, as a task's end is told by one.
    for _ in range(3):
        await asyncio.sleep(0)
    closing = {
        task
        for task in asyncio.all_tasks(event_loop)
        # What aclose() returns is no coroutine: it has no name.
        if not hasattr(task.get_coro(), "__qualname__")
    }
    if closing:
        await asyncio.wait(closing, timeout=SECONDS)


def _at_exit() -> None:
    """Finish the loop of the main OS thread's hub."""
    global _finished  # noqa: PLW0603 - the process's
    hub: Any = _core._existing_hub()
    event_loop = getattr(hub, "_own_loop", None)
    if event_loop is None or _finished:
        return
    _finished = True

    def run(coro: Coroutine[Any, Any, None]) -> None:
        _core.spawn_for_awaitable(event_loop.create_task(coro)).wait()

    # Green threads that wait for what is cancelled here are told so, and are abandoned:
    # that is no failure of theirs.
    hub._leave_unreported(asyncio.CancelledError)
    # Another Ctrl-C, or an exit in the cleanup, ends it: the program ends anyway.
    with contextlib.suppress(KeyboardInterrupt, SystemExit):
        finish(event_loop, run)


def install() -> None:
    """
    Have the loop finished when the program ends; once per process.

    That has to come before the interpreter waits for OS threads,
    since tasks may keep some busy, as those of anyio do;
    and before concurrent.futures refuses new work.
    What is registered last is called first.
    """
    _register()
    when_imported("concurrent.futures.thread", _register)


def _register(module: object = None) -> None:
    del module
    # Refused once the end has begun.
    with contextlib.suppress(RuntimeError):
        threading._register_atexit(_at_exit)  # type: ignore[attr-defined]
