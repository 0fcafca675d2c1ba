"""
What a program needs on its way from Eventlet to asyncio or to threads.

Every name here works in a process that runs on Eventlet (this implementation
or upstream), in one that runs on asyncio, and in one with nothing but threads,
so that a line is moved once and stays as it is when the process changes sides.
None of them imports Eventlet: where it is not in use already, none is needed.

============================  ==================================================
:class:`Deadline`             in place of ``eventlet.Timeout``
:class:`Executor`             in place of ``GreenPool``: says when it queues
:func:`spawn`, :class:`Job`   in place of ``eventlet.spawn``: logs what fails
:class:`ResultEvent`          in place of ``eventlet.event.Event``
:func:`cooperative_yield`     in place of ``eventlet.sleep(0)``
:func:`guard`                 keep Eventlet out of what has been moved
:func:`diagnose`              what ``doctor`` looks at, in your process
:func:`where`                 which of the three the caller runs on
============================  ==================================================
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from eventlet_asyncio._checks import diagnose
    from eventlet_asyncio.migration._deadline import Deadline, DeadlineExceeded
    from eventlet_asyncio.migration._events import ResultEvent, cooperative_yield
    from eventlet_asyncio.migration._guard import (
        Guard,
        GuardedImportError,
        GuardedSwitchError,
        GuardWarning,
        guard,
    )
    from eventlet_asyncio.migration._jobs import Executor, Job, spawn
    from eventlet_asyncio.migration._runtime import where

__all__ = [
    "Deadline",
    "DeadlineExceeded",
    "Executor",
    "Guard",
    "GuardWarning",
    "GuardedImportError",
    "GuardedSwitchError",
    "Job",
    "ResultEvent",
    "cooperative_yield",
    "diagnose",
    "guard",
    "spawn",
    "where",
]

_HOMES = {
    "Deadline": "_deadline",
    "DeadlineExceeded": "_deadline",
    "Executor": "_jobs",
    "Job": "_jobs",
    "ResultEvent": "_events",
    "cooperative_yield": "_events",
    "spawn": "_jobs",
    "where": "_runtime",
}


def __getattr__(name: str) -> object:
    """
    Import a public name when it is first used: a guarded start pays for the guard.

    Raises:
        AttributeError: If there is no such public name.
    """
    if name not in __all__:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    home = "eventlet_asyncio._checks"
    if name != "diagnose":
        home = f"{__name__}.{_HOMES.get(name, '_guard')}"
    module = import_module(home)
    value: object = getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, including those not looked up yet."""
    return sorted({*globals(), *__all__})
