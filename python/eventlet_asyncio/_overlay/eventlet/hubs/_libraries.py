"""
Libraries that make asyncio tasks without asking the loop to.

Green calls may block in all tasks of the hub's own loop, which is arranged where
the loop makes them.
From CPython 3.12 on, aiohttp's server makes the tasks of its handlers by calling
``asyncio.Task`` itself, so that they start eagerly.
The name is looked up in the library's own module,
so that is where another function takes its place: for others nothing changes.
"""

from __future__ import annotations

import asyncio
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from eventlet._patch.isolate import when_imported
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Coroutine

#: Modules whose global `asyncio` is asked for `Task`.
MODULES = ("aiohttp.web_protocol",)

_green_task = _core._green_tasks(asyncio.Task)


def install() -> None:
    """Have the modules make green tasks, now or once they are imported."""
    if sys.version_info < (3, 12):
        # Without eager tasks they ask the loop.
        return
    for name in MODULES:
        when_imported(name, _exchange)


def _exchange(module: ModuleType) -> None:
    if getattr(module, "asyncio", None) is asyncio:
        module.asyncio = _View(asyncio.__name__, asyncio.__doc__)  # type: ignore[attr-defined]


class _View(ModuleType):
    """The module asyncio, with another `Task`."""

    def __init__(self, name: str, doc: str | None) -> None:
        super().__init__(name, doc)
        self.__dict__.update(asyncio.__dict__)
        self.__dict__["Task"] = _make_task

    def __getattr__(self, name: str) -> Any:
        """Look up what asyncio has got since, or makes up when it is asked."""
        return getattr(asyncio, name)


def _make_task(
    coro: Coroutine[Any, Any, Any],
    *,
    loop: asyncio.AbstractEventLoop | None = None,
    **options: Any,
) -> asyncio.Task[Any]:
    """Make a task, in which green calls may block if the loop is the hub's own."""
    hub: Any = _core._existing_hub()
    own = hub is not None and loop is not None and hub._green_loop is loop
    make: Any = _green_task if own else asyncio.Task
    return make(coro, loop=loop, **options)  # type: ignore[no-any-return]
