"""Who made what: the line of the test's own code, for green threads, coroutines and the rest."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlet_asyncio.testing._engine import is_ours

if TYPE_CHECKING:
    from types import CodeType, FrameType

_PACKAGE = str(Path(__file__).parents[1])
_STANDARD = str(Path(os.__file__).parent)
_OWN = (
    _PACKAGE,
    f"{_STANDARD}/threading.py",
    f"{_STANDARD}/asyncio",
    f"{_STANDARD}/socket.py",
)
_ENGINE = f"{_PACKAGE}/_overlay/eventlet/hubs"
_COROUTINE_DEPTH = 6


def place_of(frame: FrameType | None) -> str:
    """Name the line of the innermost frame that is neither ours nor the machinery's."""
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith(_OWN):
            return _place(frame.f_code, frame.f_lineno)
        frame = frame.f_back
    return ""


def opener_of(frame: FrameType | None) -> str:
    """Name the line as `place_of` does; empty where the engine makes a hub or a loop."""
    newer = frame
    while newer is not None and newer.f_code.co_filename.startswith(_OWN):
        if newer.f_code.co_filename.startswith(_ENGINE):
            return ""
        newer = newer.f_back
    return place_of(newer)


def _place(code: CodeType, line: int) -> str:
    # Qualified names came with Python 3.11.
    name = getattr(code, "co_qualname", code.co_name)
    return f"{shorten(code.co_filename)}:{line} in {name}"


def shorten(path: str) -> str:
    """Return a file's name from the working directory, if it lies below."""
    try:
        return os.path.relpath(path) if path.startswith(str(Path.cwd())) else path
    except OSError:
        return path


class Origins:
    """
    Notes, while it is on, where green threads, timers and the like are made.

    Green threads of this implementation, tasks and coroutines, OS threads, and
    descriptors of files and sockets; each costs about a microsecond.
    """

    def __init__(self) -> None:
        self.on = False
        self._greens: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._threads: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._timers: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._sockets: weakref.WeakKeyDictionary[Any, str] = weakref.WeakKeyDictionary()
        self._files: dict[str, str] = {}
        self._audited = False
        self._depth = 0

    def start(self) -> None:
        """Begin to note; forget what was noted before."""
        if not self._audited:
            # It cannot be taken out again, and does nothing while this is off.
            self._audited = True
            sys.addaudithook(self._heard)
            _wrap_start(self)
            if is_ours():
                _wrap_timers(self)
        for noted in (self._greens, self._threads, self._timers, self._sockets):
            noted.clear()
        self._files.clear()
        if is_ours():
            from eventlet_asyncio import _core

            _core._set_spawn_hook(self._spawned)
        self._depth = sys.get_coroutine_origin_tracking_depth()
        sys.set_coroutine_origin_tracking_depth(max(_COROUTINE_DEPTH, self._depth))
        self.on = True

    def stop(self) -> None:
        """Note nothing more."""
        self.on = False
        sys.set_coroutine_origin_tracking_depth(self._depth)
        if is_ours():
            from eventlet_asyncio import _core

            _core._set_spawn_hook(None)

    def greens(self) -> list[tuple[Any, str]]:
        """Return the green threads that were spawned, as far as they are still there."""
        return list(self._greens.items())

    def thread(self, thread: Any) -> str:
        """Tell where an OS thread was started."""
        return self._threads.get(thread, "an unknown place")

    def timer(self, timer: Any) -> str:
        """Tell where a timer was made."""
        try:
            return self._timers.get(timer, "an unknown place")
        except TypeError:
            return "an unknown place"

    def descriptor(self, fd: int, target: str) -> str:
        """Tell where a descriptor was opened."""
        for sock, place in list(self._sockets.items()):
            try:
                if sock.fileno() == fd:
                    return place
            except (OSError, ValueError):
                continue
        return self._files.get(target, "an unknown place")

    def _spawned(self, green: Any) -> None:
        self._greens[green] = place_of(sys._getframe(1))

    def _heard(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.on:
            return
        if event == "open" and isinstance(args[0], (str, bytes, os.PathLike)):
            path = os.path.realpath(os.fsdecode(args[0]))
            self._files[path] = opener_of(sys._getframe(1))
        elif event == "socket.__new__":
            try:
                self._sockets[args[0]] = opener_of(sys._getframe(1))
            except TypeError:
                return


def _wrap_start(origins: Origins) -> None:
    """Have the standard module's threads noted when they start."""
    standard = threading.Thread.start

    def start(thread: threading.Thread) -> None:
        if origins.on:
            origins._threads[thread] = place_of(sys._getframe(1))
        standard(thread)

    setattr(threading.Thread, "start", start)  # noqa: B010 - of every thread


def _wrap_timers(origins: Origins) -> None:
    from eventlet.hubs import timer

    standard = timer.Timer._schedule_on

    def schedule_on(self: Any, hub: Any) -> Any:
        if origins.on:
            origins._timers[self] = place_of(sys._getframe(1))
        return standard(self, hub)

    setattr(timer.Timer, "_schedule_on", schedule_on)  # noqa: B010 - of every timer
