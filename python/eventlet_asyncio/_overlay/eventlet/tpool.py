"""
Run blocking calls in a pool of OS threads while other green threads go on.

Calls and outcomes go through a native queue, which knows the hub of each waiter. So no
green thread listens on a pipe for answers, several hubs can use the pool at once, and a
caller that gave up leaves nothing behind.

Workers are made on first use and live until `killall`, with one thread state
each: thread locals of a library survive from call to call. When the process ends, calls
that are under way or were asked for are finished first, as upstream's are.
"""

from __future__ import annotations

import atexit
import math
import operator
import os
from _thread import allocate_lock
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from eventlet.event import Event
from eventlet_asyncio._core import CallQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import ParamSpec, TypeVar

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

__all__ = ["Proxy", "execute", "killall", "set_num_threads"]

# Do not print the traceback of a call that fails.
# `eventlet.debug.tpool_exceptions` sets it.
QUIET = True


def _size_from_environment() -> int:
    text = os.environ.get("EVENTLET_THREADPOOL_SIZE", "20")
    try:
        return int(text)
    except ValueError:
        msg = (
            f"EVENTLET_THREADPOOL_SIZE={text!r} is no number: set it to how many OS"
            " threads tpool may use, or unset it for 20"
        )
        raise ValueError(msg) from None


_nthreads = _size_from_environment()
_setup_already = False
# Set up with no threads: calls are made where they are.
_in_place = False
# Replaced as a whole by `killall`, so that a call made while old workers still
# end goes to new ones.
_threads: list[Any] = []
_requests = CallQueue()
_hooks_installed = False
# Between OS threads that use the pool first; nothing under it is a switch point.
_setup_lock = allocate_lock()

_END: Any = object()


def execute(meth: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """
    Call ``meth(*args, **kwargs)`` in an OS thread and wait for its outcome.

    The call runs in a copy of the caller's context: it sees the caller's context
    variables, and what it sets stays its own, as with ``asyncio.to_thread``.

    Switch point. In a worker, where a call may lead back to here, and with a
    pool of no threads the call is made in place.

    Killing the caller, or a Timeout in it, ends its wait, not the call: there
    is no way to stop an OS thread.

    Returns:
        What ``meth`` returns.

    Raises:
        BaseException: What ``meth`` raises, with the worker's traceback.
    """
    if not _setup_already:
        setup()
    if _in_place:
        return meth(*args, **kwargs)
    if QUIET or CallQueue.serving():
        return _requests.call(meth, args, kwargs)
    try:
        return _requests.call(meth, args, kwargs)
    except Exception:
        import traceback

        traceback.print_exc()
        raise


def set_num_threads(nthreads: int) -> None:
    """
    Choose how many OS threads the pool has, in place of EVENTLET_THREADPOOL_SIZE.

    Takes effect when the pool is next made: on first use, or after `killall`.
    """
    global _nthreads  # noqa: PLW0603 - one pool for the process
    _nthreads = nthreads


def setup() -> None:
    """
    Start the workers, if they are not running; `execute` does so by itself.

    Raises:
        AssertionError: If the number of threads asked for is negative.
    """
    with _setup_lock:
        if not _setup_already:
            _start_workers()


def _start_workers() -> None:
    global _in_place, _setup_already  # noqa: PLW0603 - one pool for the process
    if _nthreads < 0:
        msg = (
            f"the tpool cannot have {_nthreads} threads: give EVENTLET_THREADPOOL_SIZE"
            " or set_num_threads() a number that is not negative"
        )
        raise AssertionError(msg)
    if _nthreads == 0:
        import warnings

        warnings.warn(
            "Zero threads in tpool. All tpool.execute calls will run in the calling"
            " thread and block it. Check the value of EVENTLET_THREADPOOL_SIZE.",
            RuntimeWarning,
            stacklevel=4,
        )
    _install_hooks()
    from eventlet import patcher

    threading = patcher.original("threading")
    # Should the system have no more threads to give: the next call goes on here.
    while len(_threads) < _nthreads:
        thread = threading.Thread(
            target=_serve,
            args=(_requests,),
            name=f"tpool_thread_{len(_threads)}",
            daemon=True,
        )
        thread.start()
        _threads.append(thread)
    _in_place = _nthreads == 0
    _setup_already = True


def killall() -> None:
    """
    Let all workers end, after the calls already made, and wait for them.

    Switch point if there are any. Outcomes of those calls still reach their
    callers, and the next `execute` starts new workers.

    Raises:
        RuntimeError: If called in a worker.
    """
    global _requests, _setup_already, _threads
    if CallQueue.serving():
        msg = "tpool.killall() called in a tpool thread: it would wait for itself"
        raise RuntimeError(msg)
    threads, requests = _threads, _requests
    _threads, _requests, _setup_already = [], CallQueue(), False
    endings = []
    for _ in threads:
        ended = Event()
        endings.append(ended)
        requests.end(ended)
    for ended in endings:
        ended.wait()
    # Each has left its loop: from here it is a matter of microseconds.
    for thread in threads:
        thread.join()


def tworker() -> None:
    """Serve calls in the calling OS thread, until `killall` tells it to end."""
    _serve(_requests)


def _serve(requests: CallQueue) -> None:
    requests.serve().send()


def _install_hooks() -> None:
    global _hooks_installed  # noqa: PLW0603 - one pool for the process
    if not _hooks_installed:
        _hooks_installed = True
        os.register_at_fork(after_in_child=_forget_workers)
        atexit.register(_finish_calls)


def _finish_calls() -> None:
    """
    Wait for the calls made before the process began to end; another Ctrl-C ends this.

    Green threads do not go on meanwhile: main has ended. Calls made from now on are begun,
    but nobody waits for them: an OS thread may make them for ever.
    """
    from eventlet import patcher

    sleep = patcher.original("time").sleep
    pause = 0.0005
    with suppress(KeyboardInterrupt, SystemExit):
        while CallQueue.unfinished():
            sleep(pause)
            pause = min(pause * 2, 0.01)


def _forget_workers() -> None:
    """Start anew in a forked child: the workers stayed with the parent."""
    global _requests, _setup_already, _setup_lock, _threads  # noqa: PLW0603 - as above
    _threads, _requests, _setup_already = [], CallQueue(), False
    CallQueue.forget()
    _setup_lock = allocate_lock()


def tpool_trampoline() -> None:
    """
    Let outcomes that have arrived reach their callers.

    Switch point. Nothing needs to call it: workers wake callers directly.
    """
    from eventlet.greenthread import sleep

    sleep(0)


def proxy_call(
    autowrap: tuple[type, ...], f: Callable[..., Any], *args: Any, **kwargs: Any
) -> Any:
    """
    Call ``f`` in an OS thread, and wrap what it returns if its type asks for it.

    Switch point, unless ``nonblocking=True`` is among the arguments: then ``f``,
    which does not see that argument, is called in place.

    Args:
        autowrap: Return values of these types come back as a `Proxy`.
        f: What to call.
        *args: Its positional arguments.
        **kwargs: Its keyword arguments.
    """
    if kwargs.pop("nonblocking", False):
        result = f(*args, **kwargs)
    else:
        result = execute(f, *args, **kwargs)
    return _wrap_by_type(result, autowrap)


def _wrap_by_type(value: Any, autowrap: tuple[type, ...]) -> Any:
    return Proxy(value, autowrap) if isinstance(value, autowrap) else value


class Proxy:
    """
    Stands for an object and runs its methods in the pool's OS threads.

    Methods, calls, subscripts, iteration, ``with``, ``in``, ``len`` and
    arithmetic go to a worker and are switch points. What is cheap by nature
    (comparison, hash, truth, conversion to a string or number) and plain
    attributes are looked up in place. Attributes that the object has are set on
    the object, others on the proxy.

    Two calls through one proxy may run at the same time, in two OS threads: the
    object must stand that, or its users must take turns.

    Args:
        obj: The object.
        autowrap: Results and attributes of these types come back as a `Proxy`.
        autowrap_names: So do those of the attributes and methods named here;
            ``"__call__"`` names calls of the object itself.
    """

    def __init__(
        self,
        obj: Any,
        autowrap: tuple[type, ...] = (),
        autowrap_names: Iterable[str] = (),
    ) -> None:
        set_own = object.__setattr__
        set_own(self, "_obj", obj)
        set_own(self, "_autowrap", autowrap)
        set_own(self, "_autowrap_names", autowrap_names)

    def __getattr__(self, attr_name: str) -> Any:
        if attr_name in _OWN:
            # Half made, as by `copy` or `pickle`: there is no object to ask.
            raise AttributeError(attr_name)
        value = getattr(self._obj, attr_name)
        if not callable(value):
            if attr_name in self._autowrap_names or isinstance(value, self._autowrap):
                return Proxy(value, self._autowrap)
            return value
        if isinstance(value, type) and issubclass(value, BaseException):
            # For use in an `except` clause.
            return value

        def call(*args: Any, **kwargs: Any) -> Any:
            return self._wrap(
                attr_name, proxy_call(self._autowrap, value, *args, **kwargs)
            )

        return call

    def __setattr__(self, attr_name: str, value: Any) -> None:
        if attr_name not in _OWN and hasattr(self._obj, attr_name):
            proxy_call((), setattr, self._obj, attr_name, value)
        else:
            object.__setattr__(self, attr_name, value)

    def __call__(self, *a: Any, **kw: Any) -> Any:
        """Call the object in an OS thread. Switch point."""
        return self._wrap("__call__", proxy_call(self._autowrap, self._obj, *a, **kw))

    def _wrap(self, name: str, result: Any) -> Any:
        if name in self._autowrap_names and not isinstance(result, Proxy):
            return Proxy(result)
        return result

    def __enter__(self) -> Any:
        return proxy_call(self._autowrap, type(self._obj).__enter__, self._obj)

    def __exit__(self, *exc: object) -> Any:
        return proxy_call(self._autowrap, type(self._obj).__exit__, self._obj, *exc)

    def __getitem__(self, key: Any) -> Any:
        return proxy_call(self._autowrap, operator.getitem, self._obj, key)

    def __setitem__(self, key: Any, value: Any) -> None:
        proxy_call((), operator.setitem, self._obj, key, value)

    def __delitem__(self, key: Any) -> None:
        proxy_call((), operator.delitem, self._obj, key)

    def __contains__(self, item: Any) -> bool:
        found: bool = proxy_call((), operator.contains, self._obj, item)
        return found

    def __len__(self) -> int:
        length: int = proxy_call((), len, self._obj)
        return length

    def __iter__(self) -> Any:
        iterator = proxy_call((), iter, self._obj)
        if iterator is self._obj:
            return self
        return Proxy(iterator, self._autowrap)

    def __next__(self) -> Any:
        # A StopIteration is better not sent through other frames.
        item = proxy_call(self._autowrap, next, self._obj, _END)
        if item is _END:
            raise StopIteration
        return item

    next = __next__

    def __copy__(self) -> Any:
        return type(self)(
            proxy_call((), _copy, self._obj), self._autowrap, self._autowrap_names
        )

    def __deepcopy__(self, memo: Any = None) -> Any:
        return type(self)(
            proxy_call((), _deepcopy, self._obj, memo),
            self._autowrap,
            self._autowrap_names,
        )

    def __repr__(self) -> str:
        return repr(self._obj)

    def __str__(self) -> str:
        return str(self._obj)

    def __bytes__(self) -> bytes:
        return bytes(self._obj)

    def __format__(self, spec: str) -> str:
        return format(self._obj, spec)

    def __dir__(self) -> list[str]:
        return dir(self._obj)

    def __hash__(self) -> int:
        return hash(self._obj)

    def __bool__(self) -> bool:
        return bool(self._obj)

    def __int__(self) -> int:
        return int(self._obj)

    def __float__(self) -> float:
        return float(self._obj)

    def __complex__(self) -> complex:
        return complex(self._obj)

    def __index__(self) -> int:
        return operator.index(self._obj)

    def __eq__(self, other: object) -> Any:
        return self._obj == _bare(other)

    def __ne__(self, other: object) -> Any:
        return self._obj != _bare(other)

    def __lt__(self, other: Any) -> Any:
        return self._obj < _bare(other)

    def __le__(self, other: Any) -> Any:
        return self._obj <= _bare(other)

    def __gt__(self, other: Any) -> Any:
        return self._obj > _bare(other)

    def __ge__(self, other: Any) -> Any:
        return self._obj >= _bare(other)


_OWN = frozenset(("_obj", "_autowrap", "_autowrap_names"))


def _bare(value: Any) -> Any:
    return value._obj if isinstance(value, Proxy) else value


def _copy(value: Any) -> Any:
    import copy

    return copy.copy(value)


def _deepcopy(value: Any, memo: Any) -> Any:
    import copy

    return copy.deepcopy(value, memo)


def _unary(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Proxy, *more: Any) -> Any:
        return proxy_call(self._autowrap, function, self._obj, *more)

    return method


def _binary(function: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Proxy, other: Any, *more: Any) -> Any:
        return proxy_call(self._autowrap, function, self._obj, _bare(other), *more)

    return method


def _reflected(function: Callable[[Any, Any], Any]) -> Callable[[Proxy, Any], Any]:
    def method(self: Proxy, other: Any) -> Any:
        return proxy_call(self._autowrap, function, other, self._obj)

    return method


def _updating(function: Callable[[Any, Any], Any]) -> Callable[[Proxy, Any], Any]:
    def method(self: Proxy, other: Any) -> Any:
        result = proxy_call((), function, self._obj, _bare(other))
        # A mutable object has changed itself: the name stays with its proxy.
        return self if result is self._obj else _wrap_by_type(result, self._autowrap)

    return method


def _add_operators() -> None:
    """Give `Proxy` the arithmetic and bitwise operators, and what rounds and reverses."""
    for name in ("neg", "pos", "abs", "invert"):
        setattr(Proxy, f"__{name}__", _unary(getattr(operator, f"__{name}__")))
    for function in (round, math.trunc, math.floor, math.ceil, reversed):
        setattr(Proxy, f"__{function.__name__}__", _unary(function))
    setattr(Proxy, "__divmod__", _binary(divmod))  # noqa: B010 - one of many
    setattr(Proxy, "__rdivmod__", _reflected(divmod))  # noqa: B010 - as above
    names = "add sub mul matmul truediv floordiv mod pow lshift rshift and xor or"
    for name in names.split():
        setattr(Proxy, f"__{name}__", _binary(getattr(operator, f"__{name}__")))
        setattr(Proxy, f"__r{name}__", _reflected(getattr(operator, f"__{name}__")))
        setattr(Proxy, f"__i{name}__", _updating(getattr(operator, f"__i{name}__")))
    # `operator.pow` takes no modulus.
    setattr(Proxy, "__pow__", _binary(pow))  # noqa: B010 - as above


_add_operators()
