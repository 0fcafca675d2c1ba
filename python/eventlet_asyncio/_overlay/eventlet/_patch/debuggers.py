"""
Keep a debugger that is there already on OS threads and real locks.

pydevd, the engine of debugpy, PyCharm and PyDev, stops a program by having the OS thread
wait for an event, serves it from threads of its own meanwhile, and knows it by its
thread object. It says of itself that it keeps what it needs from being patched, and
takes it from the modules that `monkey_patch` changes in place.

With this, a stop stops all green threads of the OS thread, and all of them are one
thread to the debugger.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from eventlet._patch.originals import original, real_get_ident

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SAVED = "_pydev_bundle._pydev_saved_modules"
_PACKAGES = (
    *(
        "_pydev_bundle",
        "_pydevd_bundle",
        "_pydevd_frame_eval",
        "_pydevd_sys_monitoring",
    ),
    *("debugpy", "pydevd", "pydevd_file_utils", "pydevd_tracing"),
)
_MODULES = (
    "_thread",
    "os",
    "queue",
    "select",
    "selectors",
    "socket",
    "subprocess",
    "time",
)
# What it copied out of the modules, or makes objects of.
_WAITS = ("Barrier", "Condition", "Event", "Lock", "RLock", "Semaphore", "Timer")


def follow_os_threads(module: ModuleType) -> None:
    """
    Have `bdb` take all green threads of an OS thread for the one that it debugs.

    From CPython 3.14 on it leaves out what runs in another thread than the one where it
    started: a breakpoint in a green thread would never be hit.
    """
    namespace = vars(module)
    if "threading" in namespace:
        threads = namespace["threading"]
        # Complete when it is there: `bdb` may be debugging this very line.
        shown = ModuleType("threading", threads.__doc__)
        vars(shown).update(vars(threads), current_thread=_host_of(vars(threads)))
        namespace["threading"] = shown


def keep_real() -> None:
    """Give pydevd originals, if it is loaded. Called before `threading` is changed."""
    if _SAVED not in sys.modules:
        return
    import threading

    before = dict(vars(threading))
    shown = _threading_for(before)
    modules: dict[int, Any] = {id(threading): shown}
    for name in _MODULES:
        if name in sys.modules:
            modules[id(sys.modules[name])] = original(name)
    values = {id(before[n]): getattr(shown, n) for n in _WAITS if n in before}
    for name, found in (
        ("current_thread", shown.current_thread),
        ("currentThread", shown.current_thread),
        ("enumerate", shown.enumerate),
    ):
        if name in before:
            values[id(before[name])] = found
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] in _PACKAGES and isinstance(module, ModuleType):
            namespace = vars(module)
            for attribute, value in list(namespace.items()):
                found = modules.get(id(value)) or values.get(id(value))
                if found is not None and not attribute.startswith("__"):
                    namespace[attribute] = found
    # Set only where pydevd has put its own in the place of the standard one.
    saved: Any = sys.modules[_SAVED]
    if getattr(saved, "pydevd_saved_threading_enumerate", None) is not None:
        saved.pydevd_saved_threading_enumerate = shown.enumerate
    _convert_what_exists(shown, values)


def _threading_for(before: dict[str, Any]) -> Any:
    """Return a `threading` with the standard registry whose waits are the original's."""
    threads: Any = original("threading")
    shown: Any = ModuleType("threading", before["__doc__"])
    vars(shown).update(before)
    for name in _WAITS:
        setattr(shown, name, getattr(threads, name))
    shown.current_thread = _host_of(before)
    shown.enumerate = _hosts_of(before)
    return shown


def _host_of(before: dict[str, Any]) -> Callable[[], Any]:
    active, main = before["_active"], before["_main_thread"]
    threads: Any = original("threading")

    def current_thread() -> Any:
        """Return the thread object of the OS thread, whichever green thread asks."""
        here = threads.current_thread()
        if here is threads.main_thread():
            return main
        return active.get(real_get_ident(), here)

    return current_thread


def _hosts_of(before: dict[str, Any]) -> Callable[[], list[Any]]:
    active: dict[int, Any] = before["_active"]
    threads: Any = original("threading")

    def enumerate() -> list[Any]:
        """Return the thread objects of the OS threads, without those of green ones."""
        running = sys._current_frames()
        found = {ident: t for ident, t in threads._active.items() if ident in running}
        found.update({i: t for i, t in active.items() if i in running})
        return list(found.values())

    return enumerate


def _convert_what_exists(shown: Any, values: dict[int, Any]) -> None:
    """Change the class of the locks, events, queues and threads that pydevd has made."""
    constants: Any = sys.modules.get("_pydevd_bundle.pydevd_constants")
    debugger = constants.get_global_debugger() if constants is not None else None
    daemons: Any = sys.modules.get("_pydevd_bundle.pydevd_daemon_thread")
    if hasattr(daemons, "PyDBDaemonThread"):
        # Those that it starts from now on are OS threads; those that run change registry.
        threads: Any = original("threading")
        for ident, thread in list(shown._active.items()):
            if isinstance(thread, daemons.PyDBDaemonThread):
                threads._active[ident] = shown._active.pop(ident)
        daemons.PyDBDaemonThread.__bases__ = (threads.Thread,)
        own = ModuleType("threading", shown.__doc__)
        vars(own).update(vars(shown), Thread=threads.Thread)
        daemons.threading = own
    if debugger is None:
        return
    import queue

    kinds = dict(values)
    kinds[id(queue.Queue)] = original("queue").Queue
    for value in _reached(debugger, 4):
        kind = kinds.get(id(type(value)))
        # Locks are of a class written in C, the same one in the original.
        if isinstance(kind, type) and kind is not type(value):
            value.__class__ = kind


def _reached(start: Any, depth: int) -> Iterator[Any]:
    """Yield what an object holds, down to a depth, through its attributes and containers."""
    seen: set[int] = set()
    level = [start]
    for _ in range(depth):
        below: list[Any] = []
        for value in level:
            if id(value) in seen or isinstance(value, (type, ModuleType, str, bytes)):
                continue
            seen.add(id(value))
            yield value
            if isinstance(value, dict):
                below += [*value.keys(), *value.values()]
            elif isinstance(value, (list, tuple, set)):
                below += value
            else:
                below += getattr(value, "__dict__", {}).values()
        level = below
