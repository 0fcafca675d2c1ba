"""
The module `_thread` on green threads.

A thread started here is a green thread of the calling OS thread. Locks are native
semaphores, which wake their waiters across OS threads too.
"""

from __future__ import annotations

import signal as _signal
import sys
from typing import TYPE_CHECKING, Any

from eventlet._patch.originals import original, real_get_ident
from eventlet.corolocal import local as _local
from eventlet.greenthread import sleep, spawn_n
from eventlet.hubs import _in_green_coroutine, get_hub
from eventlet.lock import Lock, _RLock
from eventlet.support.greenlets import GreenletExit, getcurrent
from eventlet.timeout import with_timeout

if TYPE_CHECKING:
    from collections.abc import Callable

_thread = original("_thread")

__patched__ = [
    "LockType",
    "RLock",
    "_ThreadHandle",
    "_count",
    "_get_main_thread_ident",
    "_local",
    "_make_thread_handle",
    "_set_sentinel",
    "allocate",
    "allocate_lock",
    "exit",
    "exit_thread",
    "get_ident",
    "interrupt_main",
    "stack_size",
    "start_joinable_thread",
    "start_new",
    "start_new_thread",
]

error = _thread.error
LockType = Lock
RLock = _RLock
lock = Lock
TIMEOUT_MAX = _thread.TIMEOUT_MAX


class _Sentinel:
    """
    The lock of a thread that is held for as long as it runs (CPython up to 3.12).

    Who joins the thread takes it and gives it back; `threading` then counts on it being
    free. An ordinary lock goes on to the next who waits when it is given back, so with
    two who join it would not be. This one is never held by anybody but its thread.

    Args:
        owner: The identity of the thread's green thread.
    """

    __slots__ = ("_alive", "_lock", "_owner")

    def __init__(self, owner: int) -> None:
        self._owner = owner
        self._at_fork_reinit()

    def _at_fork_reinit(self) -> None:
        self._alive = True
        self._lock = Lock()
        self._lock.acquire()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Wait for the thread's end. Switch point, but for the thread itself."""
        if not self._alive:
            return True
        if id(getcurrent()) == self._owner:
            # It has it; or asks whether it is alive.
            return blocking
        if not self._lock.acquire(blocking, timeout):
            return False
        # For the next who waits.
        self._lock.release()
        return True

    def release(self) -> None:
        """Wake who waits, at the thread's end; nothing after that."""
        if self._alive:
            self._alive = False
            self._lock.release()

    def locked(self) -> bool:
        """Say whether the thread runs."""
        return self._alive


# By the identity of the green thread.
_sentinels: dict[int, _Sentinel] = {}
# The green threads that run what was given to `start_new_thread`, by identity.
_running: set[int] = set()


def get_ident(gr: Any = None) -> int:
    """
    Return a number that tells a thread from all others alive.

    The main greenlet of an OS thread keeps the number of that thread, so that the
    number is right for the system's own calls and the same as before patching.

    Args:
        gr: The greenlet to identify; the current one by default.
    """
    try:
        current = getcurrent()
    except RuntimeError:  # the interpreter is ending: finalizers take locks too
        return real_get_ident()
    if gr is None:
        gr = current
    if gr.parent is None and (gr is current or _root(current) is gr):
        return real_get_ident()
    return id(gr)


def _root(gr: Any) -> Any:
    while gr.parent is not None:
        gr = gr.parent
    return gr


def start_new_thread(
    function: Callable[..., Any],
    args: tuple[Any, ...] = (),
    kwargs: dict[str, Any] | None = None,
) -> int:
    """
    Start a green thread and return what `get_ident` gives in it.

    Raises:
        TypeError: If the arguments are not a callable, a tuple and a dict.
    """
    _check_call(function, args, kwargs)
    green = spawn_n(_body, function, args, kwargs or {}, None)
    _announce(function, id(green))
    return id(green)


def _announce(function: Any, ident: int) -> None:
    """
    Let `Thread.start` return at once in a coroutine that must not block.

    It waits for the thread to say that it has started, and the thread can only run when
    the coroutine has let it. So what the thread would say is said for it.
    """
    events = sys.modules.get("asyncio.events")
    thread: Any = getattr(function, "__self__", None)
    started = getattr(thread, "_started", None)
    if events is None or started is None or events._get_running_loop() is None:
        return
    if _in_green_coroutine():
        return
    thread._ident = ident
    if hasattr(thread, "_tstate_lock"):  # to CPython 3.12
        thread._tstate_lock = _sentinels[ident] = _Sentinel(ident)
    started.set()


def _check_call(function: Any, args: Any, kwargs: Any) -> None:
    if not callable(function):
        message = "first arg must be callable"
    elif not isinstance(args, tuple):
        message = "2nd arg must be a tuple"
    elif kwargs is not None and not isinstance(kwargs, dict):
        message = "optional 3rd arg must be a dictionary"
    else:
        return
    raise TypeError(message)


def _body(function: Callable[..., Any], args: Any, kwargs: Any, handle: Any) -> None:
    me = id(getcurrent())
    _running.add(me)
    try:
        function(*args, **kwargs)
    except (SystemExit, GreenletExit):
        pass  # the ways for a thread to end itself
    except Exception:
        _report(function)
    finally:
        _running.discard(me)
        sentinel = _sentinels.pop(me, None)
        if sentinel is not None:
            sentinel.release()
        if handle is not None:
            handle._set_done()


def _report(function: Any) -> None:
    hook = getattr(sys, "unraisablehook", None)
    _type, value, traceback = sys.exc_info()
    from types import SimpleNamespace

    message = "Exception ignored in thread started by"
    if sys.version_info >= (3, 13):
        # The object would be kept alive by whoever keeps the report.
        message, function = f"{message} {function!r}", None
    hook(
        SimpleNamespace(
            exc_type=_type,
            exc_value=value,
            exc_traceback=traceback,
            err_msg=message,
            object=function,
        )
    )


def allocate_lock(*_a: Any) -> Lock:
    """
    Return a new lock, not taken.
    """
    return Lock()


allocate = allocate_lock
start_new = start_new_thread


def exit() -> None:
    """
    End the calling green thread.
    """
    raise GreenletExit


exit_thread = exit


def interrupt_main(signum: int = _signal.SIGINT) -> None:
    """
    Have the main thread act as if the signal had arrived.

    In the main OS thread the handler runs in the hub, so that what it raises reaches
    the main green thread and not the caller. Switch point then.

    Raises:
        ValueError: If there is no such signal.
    """
    main = original("threading").main_thread().ident
    if real_get_ident() != main or getcurrent().parent is None:
        _thread.interrupt_main(signum)
        return
    if not 0 < signum < _signal.NSIG:
        message = "signal number out of range"
        raise ValueError(message)
    get_hub().schedule_call_global(0, _thread.interrupt_main, signum)
    sleep(0)


def _count() -> int:
    """
    Return how many threads run that were started by this module, of both kinds.
    """
    return _thread._count() + len(_running)


def stack_size(size: int | None = None) -> int:
    """
    Return the stack size of new OS threads, and set it if `size` is given.

    Green threads have stacks of their own, which this does not change.
    """
    return _thread.stack_size() if size is None else _thread.stack_size(size)


def _set_sentinel() -> _Sentinel:
    """
    Return a lock that is released when the calling thread ends (CPython to 3.12).
    """
    current = getcurrent()
    # There is one if the thread was announced.
    sentinel = _sentinels.get(id(current)) or _Sentinel(id(current))
    if current.parent is not None:
        _sentinels[id(current)] = sentinel
    return sentinel


class _ThreadHandle:
    """
    A thread that can be joined: what `threading` holds since CPython 3.13.
    """

    __slots__ = ("__weakref__", "_running", "_state", "ident")

    def __init__(self) -> None:
        self.ident = 0
        self._state = "new"
        self._running = Lock()

    def __repr__(self) -> str:
        return f"<_ThreadHandle object: ident={self.ident}>"

    def _begin(self, ident: int) -> None:
        self._running.acquire()
        self.ident = ident
        self._state = "running"

    def is_done(self) -> bool:
        """
        Say whether the thread has ended.
        """
        return self._state == "done"

    def _set_done(self) -> None:
        if self._state == "new":
            message = "thread not started"
            raise RuntimeError(message)
        if self._state != "done":
            self._state = "done"
            self._running.release()

    def join(self, timeout: float | None = None) -> None:
        """
        Wait until the thread ends, at most `timeout` seconds. Switch point.

        Raises:
            RuntimeError: If it is the calling thread, or was not started.
        """
        if self._state == "new":
            message = "thread not started"
            raise RuntimeError(message)
        if self._state == "done":
            return
        if self.ident == get_ident():
            message = "Cannot join current thread"
            raise RuntimeError(message)
        if timeout is not None and timeout < 0:
            timeout = None
        if self._running.acquire(timeout=timeout):
            self._running.release()


def _make_thread_handle(ident: int) -> _ThreadHandle:
    handle = _ThreadHandle()
    handle._begin(ident)
    return handle


def _get_main_thread_ident() -> int:
    return original("threading").main_thread().ident


def start_joinable_thread(
    function: Callable[[], Any],
    handle: _ThreadHandle | None = None,
    daemon: bool = True,
) -> _ThreadHandle:
    """
    Start a green thread and return the handle to join it by.

    Raises:
        TypeError: If `function` is not callable or `handle` no thread handle.
        RuntimeError: If `handle` was used before.
    """
    if not callable(function):
        message = "thread function must be callable"
        raise TypeError(message)
    if handle is None:
        handle = _ThreadHandle()
    elif not isinstance(handle, _ThreadHandle):
        message = "'handle' must be a _ThreadHandle"
        raise TypeError(message)
    if handle._state != "new":
        message = "thread already started"
        raise RuntimeError(message)
    green = spawn_n(_body, function, (), {}, handle)
    handle._begin(id(green))
    _announce(function, handle.ident)
    return handle


for _name, _value in vars(_thread).items():
    if _name not in globals():
        globals()[_name] = _value
del _name, _value
