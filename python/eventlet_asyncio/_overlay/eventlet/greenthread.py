"""Green threads: spawn, sleep, kill, and what is scheduled for later."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from eventlet import hubs, timeout
from eventlet_asyncio import _core
from eventlet_asyncio._core import (
    GreenThread,
    cancel,
    getcurrent,
    kill,
    sleep,
    spawn,
    spawn_after,
    spawn_n,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import ParamSpec, TypeVar

    from eventlet.hubs.timer import Timer

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

__all__ = [
    "GreenThread",
    "call_after",
    "call_after_global",
    "call_after_local",
    "cancel",
    "exc_after",
    "getcurrent",
    "kill",
    "sleep",
    "spawn",
    "spawn_after",
    "spawn_after_local",
    "spawn_n",
]


def __getattr__(name: str) -> Any:
    """Offer greenlet and its exit exception, which programs look for here too."""
    if name not in {"greenlet", "GreenletExit"}:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    import greenlet

    return greenlet if name == "greenlet" else greenlet.GreenletExit


CONTEXT_VARIABLE = "EVENTLET_ASYNCIO_CONTEXT"


def _copies_context() -> bool:
    """Tell whether green threads start in a copy of their spawner's context."""
    choice = os.environ.get(CONTEXT_VARIABLE) or "copy"
    if choice not in {"copy", "empty"}:
        message = f"{CONTEXT_VARIABLE}={choice!r} is no choice: give copy or empty"
        raise ValueError(message)
    return choice == "copy"


_core._set_copy_context(_copies_context())


def spawn_after_local(
    seconds: float, func: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
) -> GreenThread[_T]:
    """
    Start ``func`` after ``seconds``, unless the running green thread ends before.

    Not a switch point.
    """
    hub = hubs.get_hub()
    green: GreenThread[_T] = GreenThread(hub.greenlet)
    hub.schedule_call_local(seconds, green.switch, func, args, kwargs)
    return green


def call_after_global(
    seconds: float, func: Callable[..., object], *args: Any, **kwargs: Any
) -> Timer:
    """Run ``func`` in a green thread after ``seconds``; deprecated for spawn_after."""
    return hubs.get_hub().schedule_call_global(seconds, spawn_n, func, *args, **kwargs)


def call_after_local(
    seconds: float, function: Callable[..., object], *args: Any, **kwargs: Any
) -> Timer:
    """Run ``function`` in a green thread after ``seconds``, if the caller still lives."""
    hub = hubs.get_hub()
    return hub.schedule_call_local(seconds, spawn_n, function, *args, **kwargs)


call_after = call_after_local


def exc_after(seconds: float | None, *throw_args: Any) -> Timer | timeout.Timeout:
    """
    Raise an exception in the running green thread after ``seconds``.

    Deprecated for ``Timeout``.
    Cancel what is returned to withdraw it.
    """
    if seconds is None:
        return timeout.Timeout(None)
    return hubs.get_hub().schedule_call_local(seconds, getcurrent().throw, *throw_args)
