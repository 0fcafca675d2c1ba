"""
Tasks in which blocking green calls suspend the task alone: all of them.

The native core takes each step of a task on another stack (``bridge/hooks.rs``).
It recognises a step by the running task and its coroutine,
and is told here where asyncio keeps them.

What blocks outside such a step, as a callback of a loop does,
blocks its loop, as it does on a hub without asyncio; it is warned of that.
"""

from __future__ import annotations

import asyncio
import asyncio.tasks
import contextlib
import os
import sys
import warnings
from typing import Any

from eventlet_asyncio import _core

VARIABLE = "EVENTLET_ASYNCIO_PLAIN_TASKS"

_MESSAGE = (
    "a blocking green call in {place} blocks its asyncio event loop until it returns: "
    "let a coroutine make the call in a task that was started after "
    "`import eventlet`, where it suspends that task alone; or await a green thread that "
    "makes it (await eventlet.spawn(function, ...)); or await asyncio.to_thread(function, ...)"
)

_installed = False


def install() -> None:
    """Have all tasks made such; once per process."""
    global _installed  # noqa: PLW0603 - the process's
    if _installed:
        return
    _installed = True
    choice = os.environ.get(VARIABLE, "")
    if choice not in ("", "error", "off"):
        message = f"{VARIABLE}={choice!r}: it can be set to 'error' or to 'off'"
        raise ValueError(message)
    task, coro = _specimen()
    try:
        current = getattr(asyncio.tasks, "_current_tasks", None)
        _core._step_tasks((task, coro, current, choice == "off"))
    finally:
        coro.close()
    _core._block_loops(None if choice == "error" else _warn)


def dismiss(task: asyncio.Task[Any]) -> None:
    """Have a task do nothing more, in a forked child whose parent goes on with it."""
    asyncio.tasks._unregister_task(task)
    with contextlib.suppress(AttributeError):
        task._log_destroy_pending = False  # type: ignore[attr-defined]
    # Kept for ever: its coroutine has cleaning up to do, which is the parent's.
    _core._dismiss((task, task.get_coro()))


class _Loop:
    """A loop that runs nothing."""

    def call_soon(self, *args: Any, **kwargs: Any) -> None:
        """Forget a task's first step."""

    def get_debug(self) -> bool:
        """No task made here is looked at."""
        return False


def _specimen() -> tuple[asyncio.Task[None], Any]:
    """Return a task that never runs, and its coroutine."""

    async def nothing() -> None:
        pass

    coro = nothing()
    # With a name, so that the tasks of the application are numbered as without us.
    task: Any = asyncio.Task(coro, loop=_Loop(), name="specimen")  # type: ignore[arg-type]
    task._log_destroy_pending = False
    return task, coro


def _warn() -> None:
    """Warn the code that has called Eventlet, once per place."""
    frame = sys._getframe()
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        frame = frame.f_back
    names = frame.f_globals
    task = asyncio.tasks.current_task()
    place = "a callback" if task is None else "a task that cannot be suspended in it"
    warnings.warn_explicit(
        _MESSAGE.format(place=place),
        RuntimeWarning,
        frame.f_code.co_filename,
        frame.f_lineno,
        names.get("__name__", "<unknown>"),
        names.setdefault("__warningregistry__", {}),
    )


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] in ("eventlet", "eventlet_asyncio")
