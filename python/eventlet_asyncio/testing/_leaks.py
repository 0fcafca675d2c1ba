"""What a test leaves behind."""

from __future__ import annotations

import asyncio
import functools
import gc
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, NamedTuple

from eventlet_asyncio.testing._engine import existing_hub, is_ours
from eventlet_asyncio.testing._origins import Origins, shorten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

#: The kinds of what can be left over, by the names that ``allow_leaks`` takes.
KINDS = (
    "green threads",
    "tasks",
    "timers",
    "listeners",
    "threads",
    "descriptors",
    "coroutines",
    "patches",
)
# OS threads that belong to pools, of ours or of other libraries, and live on.
_POOLS = (
    *("tpool_thread_", "asyncio_", "ThreadPoolExecutor-", "eventlet-"),
    *("Trio thread ", "AnyIO worker thread"),
)
# Descriptors that the engine, the loop and the interpreter open once.
_OWN_TARGETS = ("anon_inode:", "/dev/urandom", "/dev/null", "/proc/")


class Leak(NamedTuple):
    """One thing that was left over: its kind, what it is, and the line that made it."""

    kind: str
    what: str
    origin: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.what}, made at {self.origin}"


class Leaks:
    """
    Finds what was made between `start` and `stop` and is still there.

    Args:
        allowed: Kinds that are not looked for; see `KINDS`.
    """

    def __init__(self, origins: Origins, allowed: Iterable[str] = ()) -> None:
        self._origins = origins
        self._kinds = [kind for kind in KINDS if kind not in set(allowed)]
        self._unawaited: list[Leak] = []
        self._warn: Callable[..., object] | None = None

    def start(self) -> None:
        """Note what there is."""
        self._origins.start()
        self._before = {kind: set(_LOOK[kind](self)) for kind in self._kinds}
        self._warn = getattr(warnings, "_warn_unawaited_coroutine", None)
        if self._warn is not None:
            warnings._warn_unawaited_coroutine = self._never_awaited  # type: ignore[attr-defined]

    def stop(self) -> list[Leak]:
        """
        Return what is left over, after everybody had a turn to end. A switch point then.
        """
        found = self._look()
        if found:
            self._settle()
            found = self._look()
        self._origins.stop()
        if self._warn is not None:
            warnings._warn_unawaited_coroutine = self._warn  # type: ignore[attr-defined]
        if "coroutines" in self._kinds:
            found += self._unawaited
        return found

    def _look(self) -> list[Leak]:
        found: list[Leak] = []
        for kind in self._kinds:
            now = _LOOK[kind](self)
            before = self._before[kind]
            for key, leak in now.items():
                if key not in before:
                    # Describing descriptors costs more than seeing that none is new.
                    told = self._descriptor(key) if leak is None else leak
                    found += [told] if told else []
        return found

    def _settle(self) -> None:
        """Let what is about to end do so, and what nobody refers to die."""
        gc.collect()
        if is_ours() and existing_hub() is not None:
            from eventlet.greenthread import sleep

            for _ in range(3):
                sleep(0)
        elif "eventlet" in sys.modules:
            sys.modules["eventlet"].sleep(0)
        gc.collect()

    def _never_awaited(self, coroutine: Any) -> None:
        what = f"coroutine {coroutine.__qualname__} was never awaited"
        self._unawaited.append(Leak("coroutines", what, _coroutine_origin(coroutine)))
        if self._warn is not None:
            self._warn(coroutine)

    def _greens(self) -> dict[Any, Leak]:
        return {
            id(green): Leak("green threads", f"a green thread {_where(green)}", place)
            for green, place in self._origins.greens()
            if not green.dead
        }

    def _tasks(self) -> dict[Any, Leak]:
        if "asyncio" not in sys.modules:
            return {}
        loops = [getattr(existing_hub(), "loop", None)]
        return {
            id(task): Leak(
                "tasks",
                f"a task {task.get_name()} of {_name(task.get_coro())}",
                _coroutine_origin(task.get_coro()),
            )
            for loop in loops
            if loop is not None
            for task in asyncio.all_tasks(loop)
        }

    def _timers(self) -> dict[Any, Leak]:
        hub = existing_hub()
        if hub is None or not is_ours():
            return {}
        from eventlet.hubs.timer import Timer

        found = {}
        for _, call, _ in hub._timers():
            # Others belong to green threads that sleep.
            timer = call.args[0] if isinstance(call, functools.partial) else None
            if isinstance(timer, Timer) and not timer.called:
                what = f"a timer that will call {_name(timer.tpl[0])}"
                found[id(timer)] = Leak("timers", what, self._origins.timer(timer))
        return found

    def _listeners(self) -> dict[Any, Leak]:
        hub = existing_hub()
        if hub is None or not is_ours():
            return {}
        import greenlet

        found = {}
        for fd, write, owner in hub._waiting():
            # Others are green threads that wait, and are told as such.
            if not isinstance(owner, greenlet.greenlet):
                what = (
                    f"a listener of descriptor {fd}, to {'write' if write else 'read'}"
                )
                place = self._origins.descriptor(fd, _target(fd))
                found[fd, write] = Leak("listeners", what, place)
        return found

    def _threads(self) -> dict[Any, Leak]:
        return {
            thread.ident: Leak(
                "threads",
                f"an OS thread {thread.name}",
                self._origins.thread(thread),
            )
            for thread in _os_threads()
            if thread.is_alive() and not thread.name.startswith(_POOLS)
        }

    def _descriptors(self) -> dict[Any, Leak | None]:
        try:
            names = os.listdir("/proc/self/fd")  # noqa: PTH208 - twice as fast
        except OSError:
            return {}
        found: dict[Any, Leak | None] = {}
        for name in names:
            target = _target(int(name))
            if target and not target.startswith(_OWN_TARGETS):
                found[int(name), target] = None
        return found

    def _descriptor(self, key: tuple[int, str]) -> Leak | None:
        """Describe a descriptor, unless the engine has opened it for itself."""
        number, target = key
        if number in _own_descriptors():
            return None
        place = self._origins.descriptor(number, target)
        what = f"descriptor {number} ({shorten(target)})"
        return Leak("descriptors", what, place) if place else None

    def _patches(self) -> dict[Any, Leak]:
        patcher = sys.modules.get("eventlet.patcher")
        if patcher is None:
            return {}
        return {
            name: Leak("patches", f"monkey_patch() of {name}", "the test")
            for name in patcher.already_patched
        }

    def _coroutines(self) -> dict[Any, Leak]:
        return {}


_LOOK: dict[str, Callable[[Leaks], Mapping[Any, Leak | None]]] = {
    "green threads": Leaks._greens,
    "tasks": Leaks._tasks,
    "timers": Leaks._timers,
    "listeners": Leaks._listeners,
    "threads": Leaks._threads,
    "descriptors": Leaks._descriptors,
    "coroutines": Leaks._coroutines,
    "patches": Leaks._patches,
}


def _os_threads() -> list[threading.Thread]:
    """Return the OS threads that the standard module knows, also under monkey_patch."""
    patcher = sys.modules.get("eventlet.patcher")
    module: Any = threading if patcher is None else patcher.original("threading")
    return [
        thread
        for thread in list(getattr(module, "_active", {}).values())
        if thread is not module.main_thread()
        and not isinstance(thread, module._DummyThread)
    ]


def _own_descriptors() -> set[int]:
    """Return the ends of the pipes that the engine makes when it first needs them."""
    if not is_ours():
        return set()
    from eventlet_asyncio import _core

    wakeups = sys.modules.get("eventlet.hubs._wakeups")
    pipe = getattr(wakeups, "_pipe", None) or ()
    return {*_core._own_descriptors(), *pipe}


def _target(fd: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{fd}")  # noqa: PTH115 - as above
    except OSError:
        return ""


def _name(thing: Any) -> str:
    return getattr(thing, "__qualname__", None) or repr(thing)


def _where(green: Any) -> str:
    """Tell what a green thread runs and where it waits."""
    from eventlet_asyncio.testing._origins import place_of

    place = place_of(green.gr_frame)
    return (
        f"that waits at {place}"
        if place
        else "that has not started, or waits in native code"
    )


def _coroutine_origin(coroutine: Any) -> str:
    from eventlet_asyncio.testing._origins import _OWN

    for path, line, name in getattr(coroutine, "cr_origin", None) or ():
        if not path.startswith(_OWN):
            return f"{shorten(path)}:{line} in {name}"
    return "an unknown place"
