"""One point in time by which a piece of work must be done, on any of the three."""

from __future__ import annotations

import contextvars
import queue
import subprocess
import sys
import time
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Any, TypeVar

from eventlet_asyncio._activate import coded
from eventlet_asyncio.migration._events import ResultEvent
from eventlet_asyncio.migration._jobs import Job
from eventlet_asyncio.migration._runtime import where

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from typing_extensions import Self

T = TypeVar("T")

# What waits with a limit raise once it is reached. In Python 3.10 futures' and
# asyncio's are classes of their own.
_TIMEOUTS = (TimeoutError, FutureTimeoutError, subprocess.TimeoutExpired)

# How much too early a wait may end: the kernel's are rounded to milliseconds.
_EARLY = 0.005

_current: contextvars.ContextVar[Deadline | None] = contextvars.ContextVar(
    "eventlet_asyncio.migration.deadline", default=None
)


class DeadlineExceeded(TimeoutError):  # noqa: N818 - named as gRPC and others name it
    """
    The time of a :class:`Deadline` is up.

    An ``Exception``, unlike ``eventlet.Timeout``: code between the wait and the
    deadline's block that catches ``Exception`` sees it (rule EV301).

    Attributes:
        deadline: The :class:`Deadline` that it belongs to.
    """

    deadline: Deadline | None = None


class Deadline:
    """
    What replaces ``eventlet.Timeout`` where there is no Eventlet.

    One object serves all three targets::

        with Deadline(5) as deadline:          # threads, and Eventlet meanwhile
            item = deadline.get(jobs)          # waits at most what is left
            deadline.limit(sock).sendall(item)

        async with Deadline(5):                # asyncio
            item = await jobs.get()

    On plain threads nothing can interrupt a call, so the time that is left is
    handed to each wait: use the methods, or :meth:`remaining`. On Eventlet the
    ``with`` block is interrupted besides, like that of a ``Timeout``, so it may
    be put in place before the waits in it have been gone through; pass
    ``interrupt=False`` to see there what threads will do. ``async with`` is
    ``asyncio.timeout``.

    A deadline inside the block of another one never ends later than that one,
    also across function calls: :meth:`current` returns the innermost.

    Args:
        seconds: From now on; ``None`` is no limit, as with ``Timeout(None)``.
        error: An exception, or a class of them, to raise in place of
            :class:`DeadlineExceeded`; ``Timeout(n, exc)``.
        silent: Leave the block quietly when the time is up; ``Timeout(n, False)``.
        interrupt: Whether the block is interrupted on Eventlet.

    Raises:
        ValueError: If ``seconds`` is negative or not a number.
    """

    def __init__(
        self,
        seconds: float | None,
        error: BaseException | type[BaseException] | None = None,
        *,
        silent: bool = False,
        interrupt: bool = True,
    ) -> None:
        if seconds is not None and not seconds >= 0:
            raise ValueError(
                coded("EA301", f"a deadline lies ahead: seconds cannot be {seconds!r}")
            )
        self._seconds = seconds
        self._end = None if seconds is None else time.monotonic() + seconds
        outer = _current.get()
        if outer is not None and outer._end is not None:
            self._end = outer._end if self._end is None else min(self._end, outer._end)
        self._error = error
        self._silent = silent
        self._interrupt = interrupt
        self._raised: BaseException | None = None
        self._token: contextvars.Token[Deadline | None] | None = None
        self._alarm: Any = None

    def __repr__(self) -> str:
        """Show the time that is left."""
        left = self.remaining()
        shown = "no limit" if left is None else f"{left:.3f} s left"
        return f"<Deadline {shown} at {id(self):#x}>"

    @staticmethod
    def current() -> Deadline | None:
        """Return the deadline of the innermost block that the caller is in."""
        return _current.get()

    def remaining(self) -> float | None:
        """
        Return the seconds left, never below 0; ``None`` if there is no limit.

        The value that ``timeout`` arguments take.
        """
        return None if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def expired(self) -> bool:
        """Whether the time is up."""
        return self._end is not None and time.monotonic() >= self._end

    def check(self) -> None:
        """
        Raise if the time is up: for loops that compute. Not a switch point.

        Raises:
            DeadlineExceeded: Or ``error``, where one was given.
        """
        if self.expired:
            raise self._exceeded()

    # Waits. On Eventlet each is a switch point; in a task each raises
    # RuntimeError, since it would stop the loop.

    def sleep(self, seconds: float) -> None:
        """Sleep; raise when the deadline comes first, or has passed."""
        left = self._left("sleep")
        short = left is not None and left < seconds
        time_sleep = time.sleep
        if where() == "eventlet":
            time_sleep = sys.modules["eventlet"].sleep
        time_sleep(left if short and left is not None else seconds)
        if short:
            raise self._exceeded()

    def get(self, source: Any) -> Any:
        """Take an item from a queue: ``source.get(timeout=...)``."""
        left = self._left("get")
        try:
            return source.get(timeout=left)
        except queue.Empty as empty:
            raise self._exceeded() from empty

    def put(self, target: Any, item: Any) -> None:
        """Put an item into a queue: ``target.put(item, timeout=...)``."""
        left = self._left("put")
        try:
            target.put(item, timeout=left)
        except queue.Full as full:
            raise self._exceeded() from full

    def acquire(self, lock: Any) -> None:
        """Take a lock or semaphore: ``lock.acquire(timeout=...)``."""
        left = self._left("acquire")
        taken = lock.acquire() if left is None else lock.acquire(timeout=left)
        if not taken:
            raise self._exceeded()

    def wait(self, waitable: Any) -> Any:
        """
        Call ``waitable.wait(timeout=...)``: an event, condition, job or process.

        ``False`` counts as a time that is up, as of ``threading.Event`` and
        ``threading.Condition``.
        """
        left = self._left("wait")
        try:
            outcome = waitable.wait(timeout=left)
        except _TIMEOUTS as late:
            raise self._converted(late) from late
        if outcome is False and not isinstance(waitable, (ResultEvent, Job)):
            # Of a threading.Event: ours may carry this very value.
            raise self._exceeded()
        return outcome

    def result(self, future: Any) -> Any:
        """Return the result of a ``concurrent.futures.Future``."""
        return self.call(future.result)

    def join(self, thread: Any) -> None:
        """Wait for the end of a ``threading.Thread``."""
        left = self._left("join")
        if left is not None and where() == "eventlet":
            # Before the block is interrupted: a join that an exception ends makes
            # CPython take the thread for ended (bpo-45274).
            left = max(0.0, left - _EARLY)
        thread.join(timeout=left)
        if thread.is_alive():
            raise self._exceeded()

    def limit(self, sock: T) -> T:
        """
        Give a socket what is left as its time limit, and return it.

        A limit of zero would make the socket non-blocking; so it raises instead.
        """
        left = self._left("limit")
        sock.settimeout(left)  # type: ignore[attr-defined]
        return sock

    def call(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Call ``function(..., timeout=...)`` with what is left, as HTTP clients take it."""
        left = self._left("call")
        try:
            return function(*args, timeout=left, **kwargs)
        except _TIMEOUTS as late:
            raise self._converted(late) from late

    async def wait_for(self, awaitable: Awaitable[T]) -> T:
        """Await something; cancel it and raise when the deadline comes first."""
        import asyncio

        try:
            return await asyncio.wait_for(awaitable, self.remaining())
        except (TimeoutError, asyncio.TimeoutError) as late:
            raise self._converted(late) from late

    # Blocks

    def __enter__(self) -> Self:
        """
        Begin the block.

        Raises:
            RuntimeError: In a task, where ``async with`` is meant, or if the
                deadline has a block already.
        """
        place = where()
        if place == "asyncio":
            raise RuntimeError(
                coded("EA302", "in a task a deadline takes 'async with'")
            )
        self._begin()
        if place == "eventlet" and self._interrupt and self._end is not None:
            error = self._exception()
            self._alarm = sys.modules["eventlet"].Timeout(self.remaining(), error)
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> bool:
        """End the block; give a time that is up the form that was asked for."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        self._finish()
        return self._settle(value)

    async def __aenter__(self) -> Self:
        """Begin the block; it is cancelled when the time is up."""
        self._begin()
        self._alarm = _alarm(self.remaining())
        await self._alarm.__aenter__()
        return self

    async def __aexit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> bool:
        """End the block."""
        alarm, self._alarm = self._alarm, None
        self._finish()
        try:
            await alarm.__aexit__(typ, value, tb)
        except TimeoutError as late:
            if self._silent:
                return True
            raise self._exceeded() from late
        return self._settle(value)

    def _begin(self) -> None:
        if self._token is not None:
            raise RuntimeError(
                coded("EA303", "a deadline has one block: make a new one for this")
            )
        self._token = _current.set(self)

    def _finish(self) -> None:
        token, self._token = self._token, None
        if token is not None:
            _current.reset(token)

    def _settle(self, value: BaseException | None) -> bool:
        """Decide what becomes of an exception that leaves the block."""
        if value is None:
            return False
        ours = value is self._raised
        if not ours and self._is_close() and isinstance(value, _TIMEOUTS):
            # A wait that was given what was left, by hand.
            foreign = getattr(value, "deadline", None)
            if foreign is None:
                if self._silent:
                    return True
                raise self._exceeded() from value
        return ours and self._silent

    def _left(self, name: str) -> float | None:
        """Return what is left for a wait; raise if nothing is."""
        if where() == "asyncio":
            raise RuntimeError(
                coded(
                    "EA304",
                    f"Deadline.{name}() would stop the event loop: "
                    "use 'async with' and await",
                )
            )
        left = self.remaining()
        if left is not None and left <= 0:
            raise self._exceeded()
        return left

    def _converted(self, late: BaseException) -> BaseException:
        """Take a time limit for ours if our time is up, else leave it as it is."""
        return self._exceeded() if self._is_close() else late

    def _is_close(self) -> bool:
        """Tell whether the time is up, to a clock that is a little fast."""
        return self._end is not None and time.monotonic() >= self._end - _EARLY

    def _exceeded(self) -> BaseException:
        """Take the time for up, if a little early, and return what says so."""
        if self._end is not None:
            self._end = min(self._end, time.monotonic())
        return self._exception()

    def _exception(self) -> BaseException:
        """Return what is raised when the time is up; always the same object."""
        if self._raised is None:
            if self._error is None:
                shown = "of an outer block" if self._seconds is None else ""
                shown = shown or f"of {self._seconds:g} s"
                error: BaseException = DeadlineExceeded(
                    coded("EA305", f"the deadline {shown} has passed")
                )
                error.deadline = self  # type: ignore[attr-defined]
            elif isinstance(self._error, BaseException):
                error = self._error
            else:
                error = self._error()
            self._raised = error
        return self._raised


def _alarm(seconds: float | None) -> Any:
    """Return ``asyncio.timeout``, or what serves for it in Python 3.10."""
    import asyncio

    if sys.version_info >= (3, 11):
        return asyncio.timeout(seconds)
    return _Alarm(seconds)


class _Alarm:
    """``asyncio.timeout`` for Python 3.10, whose tasks count no cancellations."""

    def __init__(self, seconds: float | None) -> None:
        self._seconds = seconds
        self._handle: Any = None
        self._fired = False

    async def __aenter__(self) -> None:
        import asyncio

        task = asyncio.current_task()
        assert task is not None, "in a coroutine there is a task"

        def fire() -> None:
            self._fired = True
            task.cancel()

        if self._seconds is not None:
            loop = asyncio.get_running_loop()
            self._handle = loop.call_later(self._seconds, fire)

    async def __aexit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        import asyncio

        if self._handle is not None:
            self._handle.cancel()
        if self._fired and isinstance(value, asyncio.CancelledError):
            raise TimeoutError from value
