"""A value that is awaited by whoever needs it, and a turn for the others."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from eventlet_asyncio._activate import coded
from eventlet_asyncio.migration._runtime import is_native_engine, native, where

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

# How long a green thread of upstream's waits before it looks again whether an OS
# thread has sent: upstream's hub cannot be woken from another thread.
_LOOK = 0.05


class ResultEvent(Generic[T]):
    """
    An event that carries a value, or an exception, to all who wait for it.

    What ``eventlet.event.Event`` is and ``threading.Event`` is not. May be sent
    and awaited from anywhere: green threads, OS threads, tasks of any loop, and
    all of them at once.
    """

    def __init__(self) -> None:
        self._lock = native("threading").Lock()
        self._done = False
        self._value: Any = None
        self._error: BaseException | None = None
        self._wakers: list[Callable[[], object]] = []

    def __repr__(self) -> str:
        """Name the state."""
        state = "pending" if not self._done else "failed" if self._error else "sent"
        return f"<ResultEvent {state} at {id(self):#x}>"

    def ready(self) -> bool:
        """Tell whether it has been sent. Not a switch point."""
        return self._done

    def send(self, value: T | None = None) -> None:
        """
        Set the value and wake all who wait, in order of arrival. Not a switch point.

        Raises:
            RuntimeError: If it has been sent already.
        """
        self._finish(value, None)

    def send_exception(self, error: BaseException) -> None:
        """
        Have :meth:`wait` raise ``error``, in all who wait. Not a switch point.

        Raises:
            RuntimeError: If it has been sent already.
        """
        self._finish(None, error)

    def wait(self, timeout: float | None = None) -> T:
        """
        Return the value once it is there; a switch point on Eventlet until then.

        Args:
            timeout: Seconds; ``None`` waits for ever.

        Raises:
            TimeoutError: If the time is up first. (Eventlet's own returns None,
                which cannot be told from a value.)
            RuntimeError: In a task, which has to ``await`` the event.
        """
        if not self._done:
            place = where()
            if place == "asyncio":
                raise RuntimeError(
                    coded("EA311", "wait() would stop the event loop: await the event")
                )
            woken = self._wait_green(timeout) if place == "eventlet" else None
            if woken is None:
                woken = self._wait_native(timeout)
            if not woken:
                raise TimeoutError(
                    coded("EA312", f"nothing was sent within {timeout:g} s")
                )
        return self._outcome()

    def __await__(self) -> Generator[Any, None, T]:
        """Wait in a task."""
        if not self._done:
            import asyncio

            loop = asyncio.get_running_loop()
            future: asyncio.Future[None] = loop.create_future()

            def resolve() -> None:
                if not future.done():
                    future.set_result(None)

            def wake() -> None:
                # Also from the loop's own thread: a second loop may be asked here.
                if not loop.is_closed():
                    loop.call_soon_threadsafe(resolve)

            self._add(wake)
            try:
                yield from future.__await__()
            finally:
                self._remove(wake)
        return self._outcome()

    def _outcome(self) -> T:
        if self._error is not None:
            raise self._error
        return cast("T", self._value)

    def _finish(self, value: Any, error: BaseException | None) -> None:
        with self._lock:
            if self._done:
                raise RuntimeError(
                    coded("EA313", "a ResultEvent is sent once: make a new one")
                )
            self._value, self._error, self._done = value, error, True
            wakers, self._wakers = self._wakers, []
        for wake in wakers:
            wake()

    def _add(self, wake: Callable[[], object]) -> None:
        """Have ``wake`` called when it is sent, now if it has been."""
        with self._lock:
            if not self._done:
                self._wakers.append(wake)
                return
        wake()

    def _remove(self, wake: Callable[[], object]) -> None:
        with self._lock:
            if wake in self._wakers:
                self._wakers.remove(wake)

    def _wait_native(self, timeout: float | None) -> bool:
        event = native("threading").Event()
        self._add(event.set)
        try:
            woken: bool = event.wait(timeout)
        finally:
            self._remove(event.set)
        return woken

    def _wait_green(self, timeout: float | None) -> bool:
        """Wait in a green thread, to be woken from any OS thread."""
        import eventlet
        from eventlet.event import Event

        ident = native("threading").get_ident
        event, home, safe = Event(), ident(), is_native_engine()

        def wake() -> None:
            # On upstream a foreign thread must not touch the hub's event.
            if (safe or ident() == home) and not event.ready():
                event.send()

        self._add(wake)
        try:
            with eventlet.Timeout(timeout, False):  # noqa: FBT003 - upstream's way to say: return
                while not self._done:
                    event.wait(None if safe else _LOOK)
        finally:
            self._remove(wake)
        return self._done


class _Turn:
    """What `cooperative_yield` returns: awaiting it gives the loop a turn."""

    def __await__(self) -> Generator[None, None, None]:
        yield


_TURN = _Turn()


def cooperative_yield() -> _Turn:
    """
    Let others run: what ``eventlet.sleep(0)`` is written for.

    On Eventlet a switch point: all green threads that are ready get their turn.
    On plain threads it does nothing, since the system takes care of that. In a
    coroutine write ``await cooperative_yield()``, which gives the loop a turn;
    without ``await`` nothing happens there.
    """
    if where() == "eventlet":
        sys.modules["eventlet"].sleep(0)
    return _TURN
