"""Work beside the caller: it never fails unseen, and never queues unseen."""

from __future__ import annotations

import concurrent.futures
import contextvars
import inspect
import logging
import time
from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from eventlet_asyncio._activate import coded
from eventlet_asyncio.migration._events import ResultEvent
from eventlet_asyncio.migration._runtime import is_native_engine, native, where

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

T = TypeVar("T")

LOG = logging.getLogger("eventlet_asyncio.migration")


class Job(Generic[T]):
    """
    A call that runs beside its caller; what :func:`spawn` returns.

    Cannot be killed: a thread cannot, so nothing that is to become one may rely
    on it (rule EV311). Give the function a ``threading.Event`` to stop by.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._event: ResultEvent[T] = ResultEvent()

    def __repr__(self) -> str:
        """Name the function and the state."""
        state = "done" if self.done() else "running"
        return f"<Job {self.name} {state}>"

    def done(self) -> bool:
        """Tell whether the call has ended. Not a switch point."""
        return self._event.ready()

    def wait(self, timeout: float | None = None) -> T:
        """
        Return what the call returned, or raise what it raised.

        A switch point on Eventlet.

        Raises:
            TimeoutError: If the time is up first; the call goes on.
            RuntimeError: In a task, which has to ``await`` the job.
        """
        return self._event.wait(timeout)

    def __await__(self) -> Generator[Any, None, T]:
        """Wait in a task."""
        return self._event.__await__()


def spawn(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Job[Any]:
    """
    Run ``function(*args, **kwargs)`` beside the caller and log its failure.

    In a green thread on Eventlet; in a task where it is a coroutine function and
    the caller is in asyncio; otherwise in a daemon thread of its own, which ends
    with the process as green threads do. As with ``eventlet.spawn`` the failure
    never reaches the caller, unless the job's outcome is asked for; unlike there
    the call may begin before this returns. The call sees a copy of the caller's
    context variables. Not a switch point.

    Without a bound: for a bounded number use :class:`Executor`.
    """
    job: Job[Any] = Job(_name_of(function))
    if inspect.iscoroutinefunction(function):
        _start_coroutine(job, function, args, kwargs)
        return job

    def work() -> None:
        try:
            value = function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - logged, and given to who asks
            _fail(job, error)
        except BaseException as error:
            # A kill, or the end of the process: no failure of the function.
            job._event.send_exception(error)
            raise
        else:
            job._event.send(value)

    if where() == "eventlet":
        import eventlet

        eventlet.spawn_n(contextvars.copy_context().run, work)
    else:
        _start_thread(job.name, work)
    return job


def _start_coroutine(job: Job[Any], function: Any, args: Any, kwargs: Any) -> None:
    """Run a coroutine function: as a task where there is a loop, else under one."""

    async def work() -> None:
        try:
            value = await function(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - logged, and given to who asks
            _fail(job, error)
        except BaseException as error:
            job._event.send_exception(error)
            raise
        else:
            job._event.send(value)

    import asyncio

    place = where()
    if place == "asyncio":
        task = asyncio.get_running_loop().create_task(work(), name=job.name)
        # A loop keeps weak references only (rule EV313).
        _tasks.add(task)
        task.add_done_callback(_tasks.discard)
        return
    if place == "eventlet" and is_native_engine():
        from eventlet.hubs import get_hub

        if getattr(get_hub(), "loop", None) is not None:
            from eventlet.asyncio import spawn_for_awaitable

            spawn_for_awaitable(work())
            return
    _start_thread(job.name, lambda: asyncio.run(work()))


_tasks: set[Any] = set()


def _start_thread(name: str, work: Callable[[], object]) -> None:
    """Start an OS thread that is one, also in a patched process."""
    context = contextvars.copy_context()
    native("threading").Thread(
        target=context.run, args=(work,), name=name, daemon=True
    ).start()


def _fail(job: Job[Any], error: BaseException) -> None:
    LOG.error("%s failed", job.name, exc_info=error)
    job._event.send_exception(error)


def _name_of(function: Any) -> str:
    inner = getattr(function, "func", function)  # of functools.partial
    module = getattr(inner, "__module__", None)
    name = getattr(inner, "__qualname__", None) or type(inner).__name__
    return f"{module}.{name}" if module else name


class Executor(concurrent.futures.Executor):
    """
    A bounded number of workers that says when it makes jobs wait.

    A ``GreenPool`` of 1000 that becomes 1000 threads eats memory; one that
    becomes 5 queues without a word (rule EV310). So the number has to be given,
    and each time jobs have to wait for a worker a warning is logged, at most once
    in ``every`` seconds, with how many wait.

    On Eventlet the workers are green threads; elsewhere OS threads. ``submit``
    never blocks. A context manager, as all executors.

    Args:
        max_workers: How many jobs run at the same time.
        name: Of the threads, and in warnings.
        every: Seconds between two warnings; ``None`` for no warnings, where jobs
            are meant to wait.

    Raises:
        ValueError: If ``max_workers`` is less than 1.
    """

    def __init__(
        self, max_workers: int, name: str = "executor", *, every: float | None = 10
    ) -> None:
        if max_workers < 1:
            raise ValueError(
                coded("EA321", f"an executor needs workers, not {max_workers!r}")
            )
        self.max_workers = max_workers
        self.name = name
        self._every = every
        self._lock = native("threading").Lock()
        self._unfinished = 0
        self._most = 0
        self._warned = float("-inf")
        self._closed = False
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._green = _GreenWorkers(max_workers)

    @property
    def waiting(self) -> int:
        """How many jobs wait for a worker."""
        return max(0, self._unfinished - self.max_workers)

    @property
    def most(self) -> int:
        """The most jobs that were to be done at the same time: for choosing the size."""
        return self._most

    def submit(
        self, function: Callable[..., T], /, *args: Any, **kwargs: Any
    ) -> concurrent.futures.Future[T]:
        """
        Have a worker call the function; return its ``concurrent.futures.Future``.

        Not a switch point; the future's ``result()`` is one on Eventlet.

        Raises:
            RuntimeError: After :meth:`shutdown`.
        """
        if self._closed:
            raise RuntimeError(coded("EA322", f"the executor {self.name} is shut down"))
        with self._lock:
            self._unfinished += 1
            self._most = max(self._most, self._unfinished)
            waiting, now = self.waiting, time.monotonic()
            warn = waiting > 0 and self._every is not None
            warn = warn and now - self._warned >= (self._every or 0)
            if warn:
                self._warned = now
        if warn:
            LOG.warning(
                coded(
                    "EA323",
                    f"the executor {self.name} is full: {waiting} jobs wait for "
                    f"one of its {self.max_workers} workers",
                )
            )
        context = contextvars.copy_context()
        if where() == "eventlet":
            future: concurrent.futures.Future[T] = self._green.submit(
                context, function, args, kwargs
            )
        else:
            future = self._pool().submit(context.run, function, *args, **kwargs)
        future.add_done_callback(self._count_down)
        return future

    def spawn(
        self, function: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Job[Any]:
        """Submit a call whose failure is logged, as that of :func:`spawn`."""
        job: Job[Any] = Job(_name_of(function))

        def ended(future: concurrent.futures.Future[Any]) -> None:
            if future.cancelled():
                job._event.send_exception(concurrent.futures.CancelledError())
            elif (error := future.exception()) is not None:
                _fail(job, error)
            else:
                job._event.send(future.result())

        self.submit(function, *args, **kwargs).add_done_callback(ended)
        return job

    async def run(self, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """Submit a call and await its result: what a task uses."""
        import asyncio

        return await asyncio.wrap_future(self.submit(function, *args, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - the base class's
        """Take no more jobs; wait for those there are, unless told otherwise."""
        self._closed = True
        self._green.shutdown(wait=wait, cancel=cancel_futures)
        if self._threads is not None:
            self._threads.shutdown(wait, cancel_futures=cancel_futures)

    def _pool(self) -> concurrent.futures.ThreadPoolExecutor:
        with self._lock:
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(
                    self.max_workers, thread_name_prefix=self.name
                )
            return self._threads

    def _count_down(self, _future: object) -> None:
        with self._lock:
            self._unfinished -= 1


class _GreenFuture(concurrent.futures.Future[T]):
    """A future that a green thread waits for without stopping the others."""

    def __init__(self) -> None:
        super().__init__()
        self._ended: ResultEvent[None] = ResultEvent()
        self.add_done_callback(lambda _: self._ended.send())

    def result(self, timeout: float | None = None) -> T:
        self._await_end(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        self._await_end(timeout)
        return super().exception(0)

    def _await_end(self, timeout: float | None) -> None:
        if not self.done():
            try:
                self._ended.wait(timeout)
            except TimeoutError as late:
                # A class of its own in Python 3.10.
                raise concurrent.futures.TimeoutError(*late.args) from None


class _GreenWorkers:
    """Up to so many green threads that take jobs from a queue."""

    def __init__(self, max_workers: int) -> None:
        self._max = max_workers
        self._running = 0
        self._jobs: deque[Any] = deque()
        self._open: set[_GreenFuture[Any]] = set()

    def submit(
        self,
        context: contextvars.Context,
        function: Callable[..., T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> _GreenFuture[T]:
        import eventlet

        future: _GreenFuture[T] = _GreenFuture()
        self._open.add(future)
        future.add_done_callback(self._open.discard)
        self._jobs.append((future, context, function, args, kwargs))
        if self._running < self._max:
            self._running += 1
            eventlet.spawn_n(self._work)
        return future

    def shutdown(self, *, wait: bool, cancel: bool) -> None:
        if cancel:
            for future, *_ in list(self._jobs):
                future.cancel()
        if wait:
            for future in list(self._open):
                future._await_end(None)

    def _work(self) -> None:
        try:
            while self._jobs:
                future, context, function, args, kwargs = self._jobs.popleft()
                if not future.set_running_or_notify_cancel():
                    continue
                try:
                    value = context.run(function, *args, **kwargs)
                except BaseException as error:
                    future.set_exception(error)
                    if not isinstance(error, Exception):
                        raise
                else:
                    future.set_result(value)
        finally:
            self._running -= 1
            if self._jobs and self._running < self._max:
                # Killed: the jobs that wait must not.
                import eventlet

                self._running += 1
                eventlet.spawn_n(self._work)
