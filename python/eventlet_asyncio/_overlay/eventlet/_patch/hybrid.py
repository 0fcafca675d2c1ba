"""
Locks that work from green code and from plain OS threads alike.

The executors of `concurrent.futures` run real threads and take no part in the green
world, yet green code waits for their results; imports are done by both kinds. A wait
here parks the green thread if there is one, and blocks the OS thread if there is none:
a worker thread is not given a hub just because it lost a race for a lock.
"""

from __future__ import annotations

import sys
from collections import deque
from types import FunctionType, ModuleType
from typing import Any

from eventlet._patch.originals import original, real_get_ident
from eventlet_asyncio import _core

_thread = original("_thread")
_threading: Any = original("threading")
_monotonic = original("time").monotonic


def can_park() -> bool:
    """
    Say whether a wait at this point can park a green thread.

    It cannot in an OS thread that has no hub, so that no green code runs there; in the
    hub itself; and in a coroutine that asyncio runs on the outermost stack.

    Nothing is imported here or below: the import system waits by these locks.
    """
    hub = _core._existing_hub()
    if hub is None:
        return False
    current = _core.getcurrent()
    if current.parent is None:
        events = sys.modules.get("asyncio.events")
        if events is not None and events._get_running_loop() is not None:
            return False
    return current is not hub.greenlet


class Lock:
    """
    A mutual exclusion lock with the interface of `threading.Lock`.

    The state is one real lock, so that taking a free one is atomic among OS threads.
    Green threads that find it taken queue up beside it.
    """

    __slots__ = ("__weakref__", "_parked", "_real")

    def __init__(self) -> None:
        self._real = _thread.allocate_lock()
        self._parked: deque[Any] = deque()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """
        Take the lock, waiting for it if need be.

        Switch point only if the lock is taken and a green thread asks.
        """
        if self._real.acquire(False):
            return True
        if not blocking or timeout == 0:
            return self._real.acquire(blocking, timeout)
        if not can_park():
            return self._real.acquire(blocking, timeout)
        return self._park(None if timeout < 0 else timeout)

    def _park(self, timeout: float | None) -> bool:
        end = None if timeout is None else _monotonic() + timeout
        while True:
            ticket = _core.Semaphore(0)
            self._parked.append(ticket)
            try:
                # A release between the failed attempt and the append woke nobody.
                if self._real.acquire(False):
                    return True
                left = None if end is None else end - _monotonic()
                if left is not None and left <= 0:
                    return False
                ticket.acquire(timeout=left)
            finally:
                try:
                    self._parked.remove(ticket)
                except ValueError:
                    # Woken. Whoever does not use the lock now hands the wake-up on.
                    if sys.exc_info()[0] is not ValueError:
                        self._wake()
            if self._real.acquire(False):
                return True

    def _wake(self) -> None:
        try:
            ticket = self._parked.popleft()
        except IndexError:
            return
        ticket.release()

    def release(self) -> None:
        """
        Give the lock back. Any thread may do so.

        Raises:
            RuntimeError: If the lock is not taken.
        """
        self._real.release()
        self._wake()

    def locked(self) -> bool:
        """
        Say whether the lock is taken.
        """
        return self._real.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._real._at_fork_reinit()
        self._parked.clear()


def _rebound(function: FunctionType, **names: Any) -> FunctionType:
    """
    Return `function` as it would be if its module's globals held `names`.
    """
    copy = FunctionType(
        function.__code__,
        {**function.__globals__, **names},
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    return copy


class Condition(_threading.Condition):
    """A condition whose `wait` parks green threads and blocks others."""

    wait = _rebound(_threading.Condition.wait, _allocate_lock=Lock)


class Event(_threading.Event):
    """An event whose `wait` parks green threads and blocks others."""

    def __init__(self) -> None:
        super().__init__()
        self._cond = Condition(_thread.allocate_lock())


class Semaphore(_threading.Semaphore):
    """A semaphore whose `acquire` parks green threads and blocks others."""

    def __init__(self, value: int = 1) -> None:
        super().__init__(value)
        self._cond = Condition(_thread.allocate_lock())


class Thread(_threading.Thread):
    """An OS thread whose `join` parks green threads and blocks others."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._finished = Event()

    def _bootstrap_inner(self) -> None:
        try:
            super()._bootstrap_inner()
        finally:
            self._finished.set()

    def join(self, timeout: float | None = None) -> None:
        """
        Wait until the thread ends. Switch point.
        """
        if self._started.is_set() and self is not _threading.current_thread():
            limit = None if timeout is None else max(timeout, 0)
            if not self._finished.wait(limit):
                return
        super().join(timeout)


class RLock:
    """
    A reentrant lock with the interface of `threading.RLock`.

    It belongs to a green thread where there is one, else to the OS thread.
    """

    __slots__ = ("__weakref__", "_block", "_count", "_owner")

    def __init__(self) -> None:
        self._block = Lock()
        self._owner: int | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """
        Take the lock, waiting for it if need be.
        """
        me = _green_ident()
        if self._owner == me:
            self._count += 1
            return True
        if self._block.acquire(blocking, timeout):
            self._owner, self._count = me, 1
            return True
        return False

    def release(self) -> None:
        """
        Give the lock back once.

        Raises:
            RuntimeError: If the caller does not hold it.
        """
        if self._owner != _green_ident():
            message = "cannot release un-acquired lock"
            raise RuntimeError(message)
        self._count -= 1
        if not self._count:
            self._owner = None
            self._block.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def _at_fork_reinit(self) -> None:
        self._block._at_fork_reinit()
        self._owner, self._count = None, 0


def _green_ident() -> int:
    current = _core.getcurrent()
    return real_get_ident() if current.parent is None else id(current)


def _module(name: str, base: ModuleType, **names: Any) -> ModuleType:
    module = ModuleType(name, __doc__)
    vars(module).update(vars(base))
    module.__name__ = name
    vars(module).update(names)
    return module


threading = _module(
    "threading",
    _threading,
    Condition=Condition,
    Event=Event,
    Semaphore=Semaphore,
    Thread=Thread,
)
"""What `concurrent.futures` is given for `threading`: the original, patient to both."""

thread = _module(
    "_thread", _thread, allocate_lock=Lock, RLock=RLock, get_ident=_green_ident
)
"""What the import system is given for `_thread`."""
