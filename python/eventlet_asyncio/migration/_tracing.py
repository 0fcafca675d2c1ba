"""
Be told of each greenlet switch of the process.

greenlet's tracer belongs to one OS thread and to one of the two modules that
switch greenlets, upstream's and ours; it is set when such a module is loaded,
and in OS threads that start later through ``threading.setprofile``. OS threads
that ran already and are not the caller's have none.

A listener is called as ``listener(origin, target)`` in the greenlet that is
entered, when the other one stands already. To refuse the switch it returns an
exception, which is thrown into the greenlet that wanted to leave: there it is
raised where the switch was asked for, with that code on the traceback. The
greenlet that was entered meanwhile, in general the hub, stays suspended in the
tracer, and goes on as if it had been switched to just then whenever somebody
does.
"""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

from eventlet_asyncio.migration._loading import LoadWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    Listener = Callable[[Any, Any], "Exception | None"]

_ENGINES = ("greenlet", "eventlet_asyncio._core")

_listeners: list[Listener] = []
_former_profile: Any = None


def _loaded(_name: str) -> None:
    if _listeners:
        _trace()


_watch = LoadWatch(frozenset(_ENGINES), _loaded)


def add(listener: Listener) -> None:
    """Have a listener called at each switch, from now on."""
    global _former_profile  # noqa: PLW0603 - the process has one
    _listeners.append(listener)
    if len(_listeners) == 1:
        _watch.install()
        _former_profile = getattr(threading, "_profile_hook", None)
        threading.setprofile(_thread_starts)
    _trace()


def remove(listener: Listener) -> None:
    """Call it no more; without any listener everything is as it was before."""
    _listeners.remove(listener)
    if not _listeners:
        _watch.uninstall()
        threading.setprofile(_former_profile)
        for engine in engines():
            tracer = engine.gettrace()
            if isinstance(tracer, _Tracer):
                engine.settrace(tracer.former)


def engines() -> list[Any]:
    """Return the modules that switch greenlets, of those that are loaded."""
    found = [sys.modules.get(name) for name in _ENGINES]
    return [module for module in found if hasattr(module, "settrace")]


def move_to_front() -> None:
    """Have the finder asked before those that have come since."""
    if _listeners:
        _watch.install()


def _thread_starts(frame: FrameType, event: str, arg: object) -> None:
    """Be the profile function of a new OS thread for one call."""
    sys.setprofile(_former_profile)
    if _listeners:
        _trace()
    if _former_profile is not None:
        _former_profile(frame, event, arg)


def _trace() -> None:
    """Have the switches of this OS thread traced."""
    for engine in engines():
        former = engine.gettrace()
        if not isinstance(former, _Tracer):
            engine.settrace(_Tracer(former))


class _Tracer:
    """What greenlet calls at each switch of one OS thread."""

    def __init__(self, former: Any) -> None:
        self.former = former
        self._throwing = False

    def __call__(self, event: str, pair: tuple[Any, Any]) -> None:
        if self._throwing:
            # The switch by which an error gets to where it belongs.
            self._throwing = False
            return
        if self.former is not None:
            self.former(event, pair)
        origin, target = pair
        error = None
        for listener in tuple(_listeners):
            error = listener(origin, target) or error
        if error is not None and not origin.dead:
            self._throwing = True
            origin.throw(error)
