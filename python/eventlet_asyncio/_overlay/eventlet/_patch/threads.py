"""
`threading` on green threads.

The module is kept, classes and registry included; only the functions it starts, locks
and identifies threads by are exchanged. So classes derived from `Thread` before
patching are green as well, and each CPython's own logic stays in charge.

Three of its functions know more about OS threads than is true of green ones:
`current_thread` would invent a dummy thread for every green thread, the hook for forked
children would bury all green threads but one, and `_shutdown` would wait for green
threads that nobody runs any more.
"""

from __future__ import annotations

import itertools
import sys
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, ref

from eventlet._patch.originals import original, real_get_ident
from eventlet.corolocal import token_of_current
from eventlet.green import thread as green_thread
from eventlet.greenthread import GreenThread
from eventlet.semaphore import Semaphore
from eventlet.support.greenlets import getcurrent

if TYPE_CHECKING:
    from eventlet.support.greenlets import greenlet

_THREAD_NAMES = {
    "_allocate_lock": "allocate_lock",
    "_make_thread_handle": "_make_thread_handle",
    "_set_sentinel": "_set_sentinel",
    "_start_joinable_thread": "start_joinable_thread",
    "_start_new_thread": "start_new_thread",
    "_ThreadHandle": "_ThreadHandle",
    "_LockType": "LockType",
    "Lock": "allocate_lock",
    "get_ident": "get_ident",
    "local": "_local",
    "stack_size": "stack_size",
}


class _GreenThread:
    """
    What `current_thread` gives in a greenlet that no `Thread` object started.

    Offers what a `Thread` offers, except for starting it. Does not keep the greenlet.
    """

    _count = itertools.count(1)

    def __init__(self, active: dict[int, Any], host: Any) -> None:
        """
        Stand for the calling greenlet, and be in `active` until it ends.

        Args:
            host: The thread object of the OS thread.
        """
        green = getcurrent()
        self._green: ref[greenlet] = ref(green)
        self._ident = id(green)
        self._name = f"GreenThread-{next(self._count)}"
        self._active = active
        self._host = host
        self._joining: list[Semaphore] = []
        self._present = ref(token_of_current(), self._end)
        active[self._ident] = self

    def _end(self, _token: object) -> None:
        if self._active.get(self._ident) is self:
            del self._active[self._ident]
        for semaphore in self._joining:
            semaphore.release()

    def __repr__(self) -> str:
        own = f"<_GreenThread({self._name}, {self._g!r})>"
        if isinstance(self._g, GreenThread):
            return own
        # Upstream takes a greenlet that is no `GreenThread` for the main thread.
        return f"{self._host!r} in {own}"

    @property
    def _g(self) -> greenlet | None:
        return self._green()

    @property
    def name(self) -> str:
        """
        The name, free to change.
        """
        return self._name

    @name.setter
    def name(self, name: str) -> None:
        self._name = str(name)

    def get_name(self) -> str:
        """
        Return `name`.
        """
        return self._name

    def set_name(self, name: str) -> None:
        """
        Set `name`.
        """
        self._name = str(name)

    getName = get_name
    setName = set_name

    @property
    def ident(self) -> int:
        """
        What `threading.get_ident` returns in the green thread.
        """
        return self._ident

    @property
    def native_id(self) -> int:
        """
        The number the system knows the OS thread by, which all green threads share.
        """
        return original("threading").get_native_id()

    @property
    def daemon(self) -> bool:
        """
        True: the process never waits for a green thread at its end.
        """
        return True

    def is_daemon(self) -> bool:
        """
        Return True.
        """
        return True

    isDaemon = is_daemon

    def is_alive(self) -> bool:
        """
        Say whether the greenlet has not ended.
        """
        return self._present() is not None

    isAlive = is_alive

    def join(self, timeout: float | None = None) -> None:
        """
        Wait until the greenlet ends, at most `timeout` seconds. Switch point.

        Raises:
            RuntimeError: If it is the calling one.
        """
        if self._g is getcurrent():
            message = "cannot join current thread"
            raise RuntimeError(message)
        ended = Semaphore(0)
        self._joining.append(ended)
        try:
            if self.is_alive():
                ended.acquire(timeout=None if timeout is None else max(timeout, 0))
        finally:
            self._joining.remove(ended)


class _Sys:
    """
    What a green `threading` sees as `sys`.

    Hooks of `threading.settrace` and `threading.setprofile` are for OS threads. All green
    threads of one are traced by what it has: coverage's tracer would lose its records to
    the next one that is set.
    """

    @staticmethod
    def settrace(function: Any) -> None:
        if sys.gettrace() is None:
            sys.settrace(function)

    @staticmethod
    def setprofile(function: Any) -> None:
        if sys.getprofile() is None:
            sys.setprofile(function)

    def __getattr__(self, name: str) -> Any:
        return getattr(sys, name)


def install(namespace: dict[str, Any]) -> None:
    """
    Make the module `threading` whose globals are `namespace` green.
    """
    lock_is_a_class = isinstance(namespace["Lock"], type)  # from CPython 3.13 on
    for name, green in _THREAD_NAMES.items():
        if name in namespace and hasattr(green_thread, green):
            namespace[name] = getattr(green_thread, green)
    if lock_is_a_class:
        namespace["Lock"] = green_thread.LockType
    namespace["_sys"] = _Sys()
    # The C one belongs to an OS thread.
    namespace["_CRLock"] = _rlock_class(namespace["_PyRLock"])
    if isinstance(namespace["RLock"], type):
        namespace["RLock"] = namespace["_CRLock"]
    if "_set_name" in namespace:
        # Names the OS thread, which belongs to all its green threads (CPython 3.14).
        namespace["_set_name"] = None
    current = _current_thread(namespace)
    namespace["current_thread"] = current
    if "currentThread" in namespace:
        namespace["currentThread"] = current
    main = namespace["_main_thread"]
    namespace["_os_threads"] = WeakSet(
        thread for thread in namespace["_active"].values() if thread is not main
    )
    # The interpreter was handed the function itself, so its inside has to change.
    namespace["_after_fork"].__code__ = _after_fork.__code__
    namespace["_shutdown"] = _shutdown(namespace["_shutdown"], namespace)


def _rlock_class(python_class: type) -> type:
    """
    Return the native class of reentrant locks as one derived from the Python one.

    Programs ask by that class whether their locks were patched: it was what replaced
    the C one.
    """
    body = {"__slots__": (), "__doc__": green_thread.RLock.__doc__}
    made = type("RLock", (green_thread.RLock, python_class), body)
    made.__module__ = green_thread.__name__
    return made


def share(namespace: dict[str, Any], copy: dict[str, Any]) -> None:
    """
    Make a green copy of `threading` show the module that was made green.

    Args:
        namespace: The globals of the patched module.
        copy: The globals of `eventlet.green.threading`, made before patching. Threads
            started through it are entered in the registry of the patched module.
    """
    main = copy.get("_main_thread")
    for ident, thread in copy.get("_active", {}).items():
        if thread is not main:
            namespace["_active"].setdefault(ident, thread)
    copy.update({n: v for n, v in namespace.items() if not n.startswith("__")})


def _current_thread(namespace: dict[str, Any]) -> Any:
    active = namespace["_active"]

    def current_thread() -> Any:
        """
        Return the thread object of the calling green thread, or of the OS thread.
        """
        thread = active.get(green_thread.get_ident())
        if thread is not None:
            return thread
        threads = original("threading")
        host = threads.current_thread()
        if host is threads.main_thread():
            host = namespace["_main_thread"]
        return host if getcurrent().parent is None else _GreenThread(active, host)

    return current_thread


def _after_fork() -> None:
    from eventlet._patch.threads import forked

    forked(globals())


def forked(namespace: dict[str, Any]) -> None:
    """
    Correct the registry of a green `threading` in a forked child.

    Green threads live on in the child, on copies of their stacks. Only OS threads that
    were there before patching are gone, all but the one that forked.
    """
    active = namespace["_active"]
    here = real_get_ident()
    for ident, thread in list(active.items()):
        if thread not in namespace["_os_threads"] or ident == here:
            continue
        if hasattr(thread, "_after_fork"):
            thread._after_fork()
        else:
            thread._reset_internal_locks(False)
            thread._stop()
        del active[ident]


def _shutdown(original_shutdown: Any, namespace: dict[str, Any]) -> Any:
    def shutdown() -> None:
        """
        Wait for the OS threads that are no daemons; green threads end with main.
        """
        locks = namespace.get("_shutdown_locks")
        if locks:
            locks.difference_update(
                [lock for lock in locks if isinstance(lock, green_thread._Sentinel)]
            )
        original_shutdown()

    return shutdown
