"""
Green threads and asyncio in one program.

Green code waits for coroutines with :func:`await_` and :func:`spawn_for_awaitable`;
coroutines wait for green threads with ``await``.
Both share the event loop that the hub runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from eventlet import hubs
from eventlet.greenthread import getcurrent, spawn
from eventlet.hubs import asyncio as _hub  # noqa: F401 - makes asyncio's functions fall back
from eventlet_asyncio._core import (
    await_getaddrinfo,
    await_getnameinfo,
    greenlet_to_future,
    spawn_for_awaitable,
)

if TYPE_CHECKING:
    from collections.abc import (
        AsyncIterable,
        Awaitable,
        Callable,
        Coroutine,
        Iterator,
    )
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from eventlet.greenthread import GreenThread

__all__ = [
    "async_to_sync",
    "await_",
    "context",
    "future_to_greenlet",
    "getaddrinfo",
    "getnameinfo",
    "greenlet_to_future",
    "iterate",
    "run",
    "spawn_for_awaitable",
    "sync_to_async",
]

_P = ParamSpec("_P")
_T = TypeVar("_T")

_MISSING = object()


def await_(awaitable: Awaitable[_T], timeout: float | None = None) -> _T:
    """
    Wait in green code for a coroutine, a future, or anything else to await.

    What the coroutine does to context variables is seen by the caller.
    If the wait ends early, by the timeout, a kill, or an ``eventlet.Timeout``,
    the awaitable is cancelled.
    A switch point.

    Args:
        awaitable: What to wait for.
        timeout: Seconds after which it is cancelled; None waits for ever.

    Returns:
        The result of the awaitable.

    Raises:
        asyncio.TimeoutError: After the timeout, once the awaitable has cleaned up.
        TypeError: For an object that cannot be awaited.
        RuntimeError: In a plain task of a loop that the application runs:
            use ``await`` there.

    Example:
        >>> async def answer():
        ...     await asyncio.sleep(0)
        ...     return 42
        >>> await_(answer(), timeout=10)
        42
    """
    if timeout is None and asyncio.isfuture(awaitable):
        return _wait_or_cancel(spawn_for_awaitable(awaitable))  # type: ignore[no-any-return]
    if not inspect.isawaitable(awaitable):
        message = f"an awaitable is needed, not {type(awaitable).__name__}"
        raise TypeError(message)
    begun: list[bool] = []
    left: list[contextvars.Context] = []
    carrier = _carry(awaitable, timeout, begun, left)
    try:
        green = spawn_for_awaitable(carrier)
        return _wait_or_cancel(green)
    finally:
        if not begun and inspect.iscoroutine(awaitable):
            # Nobody will await it any more.
            awaitable.close()
        _take_over(left)


async def _carry(
    awaitable: Awaitable[_T],
    timeout: float | None,
    begun: list[bool],
    left: list[contextvars.Context],
) -> _T:
    """Await within the time, and leave the context behind as it is at the end."""
    begun.append(True)
    try:
        if timeout is None:
            return await awaitable
        if sys.version_info >= (3, 11):
            async with asyncio.timeout(timeout):
                return await awaitable
        return await asyncio.wait_for(awaitable, timeout)
    finally:
        left.append(contextvars.copy_context())


def _take_over(left: list[contextvars.Context]) -> None:
    """Set the context variables that differ from those left behind."""
    if not left:
        return
    current = contextvars.copy_context()
    for variable, value in left[0].items():
        if current.get(variable, _MISSING) is not value:
            variable.set(value)


def _wait_or_cancel(green: GreenThread[_T]) -> _T:
    """Wait for a green thread that is of no use without its waiter."""
    try:
        return green.wait()
    except BaseException:
        if not green.dead:
            green.kill()
        raise


def run(coro: Coroutine[Any, Any, _T]) -> _T:
    """
    Run a coroutine as the program, on the hub's event loop.

    Green threads run beside it.
    A blocking green call in the coroutine, or in any task of that loop,
    suspends the task that makes it, and no other.
    If the caller is interrupted, the coroutine is cancelled and cleans up first.
    A switch point.

    Args:
        coro: The coroutine to run.

    Returns:
        What the coroutine returns.

    Raises:
        TypeError: If ``coro`` is no coroutine.
        RuntimeError: In a plain task of a loop that the application runs:
            use ``await`` there.

    Example:
        >>> import eventlet
        >>> async def main():
        ...     eventlet.sleep(0.001)
        ...     return await eventlet.spawn(str.upper, "green")
        >>> run(main())
        'GREEN'
    """
    if not asyncio.iscoroutine(coro):
        message = f"a coroutine is needed, not {type(coro).__name__}"
        raise TypeError(message)
    main = spawn_for_awaitable(coro)
    try:
        return main.wait()
    except BaseException:
        if not main.dead:
            greenlet_to_future(main).cancel()
            with contextlib.suppress(BaseException):
                main.wait()
        raise


def sync_to_async(function: Callable[_P, _T]) -> Callable[_P, Coroutine[Any, Any, _T]]:
    """
    Make an asynchronous function of one that blocks.

    Each call runs in a green thread of its own,
    and hands its context variables back.
    Cancelling the call kills the green thread.

    Example:
        >>> import eventlet
        >>> pause = sync_to_async(eventlet.sleep)
        >>> await_(pause(0.001))
    """

    @functools.wraps(function)
    async def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        left: list[contextvars.Context] = []

        def body() -> _T:
            try:
                return function(*args, **kwargs)
            finally:
                left.append(contextvars.copy_context())

        try:
            return await spawn(body)
        finally:
            _take_over(left)

    return call


def async_to_sync(function: Callable[_P, Awaitable[_T]]) -> Callable[_P, _T]:
    """
    Make a function for green code of an asynchronous one.

    Each call is a switch point, and waits as :func:`await_` does.

    Example:
        >>> async def double(number):
        ...     return number * 2
        >>> async_to_sync(double)(4)
        8
    """

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await_(function(*args, **kwargs))

    return call


def future_to_greenlet(future: Awaitable[_T]) -> GreenThread[_T]:
    """
    Return a green thread with the outcome of a future, task or coroutine.

    Killing it cancels the future.

    Example:
        >>> async def double(number):
        ...     return number * 2
        >>> future_to_greenlet(asyncio.ensure_future(double(4))).wait()
        8
    """
    return spawn_for_awaitable(future)


def iterate(iterable: AsyncIterable[_T]) -> Iterator[_T]:
    """
    Iterate in green code over an asynchronous iterable.

    All steps run in one task.
    Each step is a switch point.
    An asynchronous generator is closed when the iteration ends early.

    Example:
        >>> async def numbers():
        ...     for number in range(3):
        ...         yield number
        >>> list(iterate(numbers()))
        [0, 1, 2]
    """
    iterator = aiter(iterable)
    steps = _Steps()
    try:
        while True:
            try:
                value = steps.take(iterator.__anext__)
            except StopAsyncIteration:
                return
            yield value
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            steps.take(close)
        steps.end()


class context:
    """
    Enter an asynchronous context manager in green code: ``with context(manager)``.

    Entering and leaving run in one task.
    If the manager cancels that task, as ``asyncio.timeout`` does,
    the body gets the CancelledError, and the manager decides what becomes of it.
    Entering and leaving are switch points.

    Args:
        manager: The manager, or a function that returns it,
            called in the task: some can only be made there.

    Example:
        >>> lock = asyncio.Lock()
        >>> with context(lock):
        ...     lock.locked()
        True
    """

    def __init__(
        self,
        manager: AbstractAsyncContextManager[Any]
        | Callable[[], AbstractAsyncContextManager[Any]],
    ) -> None:
        self._manager: Any = manager
        self._steps: _Steps | None = None

    def __enter__(self) -> Any:
        """Enter the manager, and return what it gives."""
        steps = self._steps = _Steps()
        try:
            value = steps.take(self._enter)
        except BaseException:
            steps.end()
            raise
        steps.interrupt = getcurrent()
        return value

    async def _enter(self) -> Any:
        if not hasattr(self._manager, "__aenter__") and callable(self._manager):
            self._manager = self._manager()
        return await self._manager.__aenter__()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        """Leave the manager; true if it swallows the exception."""
        steps = self._steps
        assert steps is not None
        steps.interrupt = None
        try:
            return steps.take(  # type: ignore[no-any-return]
                functools.partial(self._manager.__aexit__, kind, value, trace)
            )
        finally:
            steps.end()


class _Steps:
    """One task that runs coroutines one after the other, as green code asks for them."""

    #: The green thread to be told of a cancellation between two steps.
    interrupt: Any = None

    def __init__(self) -> None:
        self._loop = hubs.get_hub().loop  # type: ignore[attr-defined]
        self._asked: deque[tuple[Callable[[], Any] | None, asyncio.Future[Any]]] = (
            deque()
        )
        self._idle: asyncio.Future[None] | None = None
        self._green = spawn_for_awaitable(self._serve())

    def take(self, step: Callable[[], Awaitable[Any]]) -> Any:
        """Run one coroutine in the task and return its result. A switch point."""
        reply = self._ask(step)
        return _wait_or_cancel(spawn_for_awaitable(reply))

    def end(self) -> None:
        """End the task."""
        self._ask(None)

    def _ask(self, step: Callable[[], Any] | None) -> asyncio.Future[Any]:
        reply: asyncio.Future[Any] = self._loop.create_future()
        self._asked.append((step, reply))
        if self._idle is not None and not self._idle.done():
            self._idle.set_result(None)
        return reply

    async def _serve(self) -> None:
        while True:
            while not self._asked:
                self._idle = self._loop.create_future()
                try:
                    await self._idle
                except asyncio.CancelledError as error:
                    self._cancelled(error)
            step, reply = self._asked.popleft()
            if step is None:
                return
            await self._answer(step, reply)

    async def _answer(
        self, step: Callable[[], Any], reply: asyncio.Future[Any]
    ) -> None:
        task = asyncio.current_task()
        assert task is not None

        def abandoned(reply: asyncio.Future[Any]) -> None:
            if reply.cancelled():
                task.cancel()

        reply.add_done_callback(abandoned)
        try:
            value = await step()
        except BaseException as error:
            if reply.done():
                return
            # A future refuses StopIteration, which no coroutine can raise.
            reply.remove_done_callback(abandoned)
            reply.set_exception(error)
        else:
            if not reply.done():
                reply.remove_done_callback(abandoned)
                reply.set_result(value)

    def _cancelled(self, error: asyncio.CancelledError) -> None:
        """Give the body what cancelled the task between two steps."""
        green = self.interrupt
        if green is None:
            raise error

        def throw() -> None:
            if self.interrupt is green:
                green.throw(error)

        hubs.get_hub().schedule_call_global(0, throw)


async def getaddrinfo(
    host: bytes | str | None,
    port: bytes | str | int | None,
    *,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[Any]:
    """
    Return the addresses of a host, as ``loop.getaddrinfo()`` does.

    The lookup is done by a thread of the native engine and not by the loop's executor:
    cancelled before it has begun it never is, and one that hangs does not keep the
    process from ending.

    Raises:
        OSError: ``socket.gaierror`` if there are none.
    """
    return await await_getaddrinfo(host, port, family, type, proto, flags)


async def getnameinfo(sockaddr: tuple[Any, ...], flags: int = 0) -> tuple[str, str]:
    """
    Return host and service of an address, as ``loop.getnameinfo()`` does.

    Done like :func:`getaddrinfo`.

    Raises:
        OSError: ``socket.gaierror`` if they are not known.
    """
    return await await_getnameinfo(sockaddr, flags)
