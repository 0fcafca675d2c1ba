"""
Bounded pools of green threads, and ordered collections of their outcomes.

A pool is one semaphore (how many more may start) and one set (who runs now).
The semaphore is native, so the path of a spawn that need not wait is: take a
unit, spawn, add to the set, attach one bound method as link. Nothing is
allocated per item beyond the green thread itself, and the slot comes back
through the link, which also runs for a green thread killed before it started.

``imap`` takes a second, shorter path. Its results are handed over in order, so
a slot there means "started and not yet taken by the consumer": one semaphore
bounds concurrency and memory together, is taken by the producer and given back
by the consumer, and no link is needed at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet.event import Event
from eventlet.greenthread import GreenThread, getcurrent
from eventlet.greenthread import spawn as _spawn
from eventlet.queue import LightQueue
from eventlet.semaphore import Semaphore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import ParamSpec, TypeVar

    from typing_extensions import Self

    _P = ParamSpec("_P")
    _T = TypeVar("_T")

__all__ = ["GreenMap", "GreenPile", "GreenPool"]

# Print the traceback of a function given to `GreenPool.spawn_n` that fails.
# `eventlet.debug.hub_exceptions` sets it.
DEBUG = True


class GreenPool:
    """
    A pool of green threads that never runs more than ``size`` of them at once.

    Args:
        size: How many green threads may run at the same time. With 0 every
            spawn waits until the pool is resized.

    Raises:
        TypeError: If ``size`` is not a number.
        ValueError: If ``size`` is negative.
    """

    def __init__(self, size: int = 1000) -> None:
        try:
            limit = int(size)
        except (TypeError, ValueError):
            msg = f"GreenPool() needs a number as its size, not {size!r}"
            raise TypeError(msg) from None
        if limit < 0:
            msg = f"GreenPool() needs a size of 0 or more, not {size!r}"
            raise ValueError(msg)
        self.size = limit
        self.coroutines_running: set[Any] = set()
        self.sem = Semaphore(limit)
        # Units to swallow instead of giving back: the pool was shrunk below
        # the number of green threads that ran at that time.
        self._overdrawn = 0
        self._all_done: Event | None = None

    def resize(self, new_size: int) -> None:
        """
        Change how many green threads may run at the same time.

        Growing lets waiting spawns start at once. Shrinking stops nothing that
        runs already: the limit holds as soon as enough of them have ended.
        """
        change = new_size - self.size
        self.size = new_size
        for _ in range(change):
            self._give_back()
        for _ in range(-change):
            if not self.sem.acquire(False):
                self._overdrawn += 1

    def running(self) -> int:
        """Return how many green threads of the pool are alive."""
        return len(self.coroutines_running)

    def free(self) -> int:
        """
        Return how many more green threads could start without waiting.

        Negative while a pool made smaller still runs more than its new size.
        """
        return self.size - len(self.coroutines_running)

    def waiting(self) -> int:
        """Return how many callers wait in `spawn` or `spawn_n`."""
        return max(0, -self.sem.balance)

    def spawn(
        self, function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs
    ) -> GreenThread[_T]:
        """
        Run ``function`` in a green thread of the pool.

        Switch point only while the pool is full. A green thread of the pool
        that spawns into its own full pool would wait for itself: there the
        function is called in place, and the green thread returned is finished.

        Returns:
            The `GreenThread`; its ``wait()`` gives the function's outcome.
        """
        if not self.sem.acquire(False):
            current = getcurrent()
            if current in self.coroutines_running:
                finished: GreenThread[_T] = GreenThread(current)
                finished.main(function, args, kwargs)
                return finished
            self.sem.acquire()
        return self._start(function, args, kwargs)

    def spawn_n(
        self, function: Callable[_P, object], *args: _P.args, **kwargs: _P.kwargs
    ) -> None:
        """
        Run ``function`` in a green thread of the pool, dropping its result.

        Waits, or runs in place, in the same cases as `spawn`. If the function
        fails its traceback is printed, unless
        ``eventlet.debug.hub_exceptions(False)`` was called.
        """
        if not self.sem.acquire(False):
            if getcurrent() in self.coroutines_running:
                _run_detached(function, args, kwargs)
                return
            self.sem.acquire()
        self._start(_run_detached, (function, args, kwargs), {})

    def waitall(self) -> None:
        """
        Wait until no green thread of the pool is running.

        Switch point unless the pool is idle.

        Raises:
            AssertionError: If called in a green thread of the pool, which
                would wait for its own end.
        """
        running = self.coroutines_running
        if getcurrent() in running:
            msg = "waitall() in a green thread of the pool: it would wait for itself"
            raise AssertionError(msg)
        while running:
            if self._all_done is None:
                self._all_done = Event()
            self._all_done.wait()

    def imap(
        self, function: Callable[..., Any] | None, *iterables: Iterable[Any]
    ) -> GreenMap:
        """
        Call ``function`` on the items of the iterables, in parallel.

        As the builtin ``map``: results come in the order of the items. At most
        ``size`` calls are in progress, and ``size`` results and one more wait for
        the caller, so that endless iterables are fine. A failing call raises at its
        place in the sequence, and the iteration can go on after it.
        """
        return self.starmap(function, zip(*iterables, strict=False))

    def starmap(
        self, function: Callable[..., Any] | None, iterable: Iterable[Iterable[Any]]
    ) -> GreenMap:
        """
        Call ``function(*item)`` for each item, in parallel.

        As ``itertools.starmap``; otherwise as `imap`.
        """
        results = GreenMap(self.size)
        # The producer has a green thread of its own: it may wait for a free
        # slot while the caller is free to start taking results.
        _spawn(results._produce, _as_tuple if function is None else function, iterable)
        return results

    def _start(
        self,
        function: Callable[..., _T],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> GreenThread[_T]:
        """Spawn with the unit already taken; give it back if that fails."""
        try:
            thread = _spawn(function, *args, **kwargs)
        except BaseException:
            self._give_back()
            raise
        self.coroutines_running.add(thread)
        # A failure that nobody waits for is reported: the pool takes none.
        thread._link_bookkeeping(self._spawn_done)
        return thread

    def _spawn_done(self, thread: Any) -> None:
        self.coroutines_running.discard(thread)
        self._give_back()
        if self._all_done is not None and not self.coroutines_running:
            done, self._all_done = self._all_done, None
            done.send()

    def _give_back(self) -> None:
        if self._overdrawn:
            self._overdrawn -= 1
        else:
            self.sem.release()


class GreenPile:
    """
    Run jobs in a pool and iterate over their results in order of spawning.

    Args:
        size_or_pool: A `GreenPool` to share, or the size of one of its own.
    """

    def __init__(self, size_or_pool: int | GreenPool = 1000) -> None:
        if isinstance(size_or_pool, GreenPool):
            self.pool = size_or_pool
        else:
            self.pool = GreenPool(size_or_pool)
        self.waiters: Any = LightQueue()
        # Jobs spawned, or about to be, whose results were not taken yet.
        self.counter = 0

    def spawn(
        self, func: Callable[_P, object], *args: _P.args, **kw: _P.kwargs
    ) -> None:
        """
        Run ``func`` in the pool; its result becomes the next one of the pile.

        Switch point while the pool is full.
        """
        # Counted before the wait for a slot: a reader that catches up in the
        # meantime must not take the pile for exhausted.
        self.counter += 1
        try:
            thread = self.pool.spawn(func, *args, **kw)
        except BaseException:
            self.counter -= 1
            raise
        self.waiters.put(thread)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Any:
        """
        Wait for the next result.

        Switch point unless it is there already.

        Raises:
            StopIteration: If every result was taken.
            BaseException: Whatever the job raised.
        """
        if not self.counter:
            raise StopIteration
        try:
            return self.waiters.get().wait()
        finally:
            self.counter -= 1

    def next(self) -> Any:
        """Wait for the next result, as ``next(pile)`` does."""
        return self.__next__()


class GreenMap(GreenPile):
    """
    A pile whose producer can say that no more jobs will come.

    Iterating waits for jobs not spawned yet, until `done_spawning` is called. As many
    jobs as the pool has places, and one more, may be ahead of the reader.

    Args:
        size_or_pool: A `GreenPool` to share, or the size of one of its own.
    """

    def __init__(self, size_or_pool: int | GreenPool) -> None:
        super().__init__(size_or_pool)
        self.waiters = LightQueue(self.pool.size)

    def spawn(
        self, func: Callable[_P, object], *args: _P.args, **kw: _P.kwargs
    ) -> None:
        """
        Run ``func`` in the pool; its result becomes the next one of the map.

        Switch point while the pool is full, or the reader too far behind.
        """
        self.waiters.put(self.pool.spawn(func, *args, **kw))

    def done_spawning(self) -> None:
        """
        Let the reader stop after the jobs spawned so far.

        Switch point while the pool is full, or the reader too far behind.
        """
        # The end takes its turn as a job does.
        self.pool.sem.acquire()
        self.pool.sem.release()
        self.waiters.put(_Finish(self.waiters))

    def __next__(self) -> Any:
        """
        Wait for the next result, or for the news that there is none.

        Switch point unless it is there already.

        Raises:
            StopIteration: If every result was taken and no more will come.
            BaseException: Whatever the job, or the iterable, raised.
        """
        return self.waiters.get().wait()

    def _produce(
        self, function: Callable[..., Any], iterable: Iterable[Iterable[Any]]
    ) -> None:
        """
        Spawn one green thread for each item, as the reader makes room.

        The pool of a map made by `GreenPool.imap` is nobody else's, so that its places
        are all there is to count.
        """
        acquire, release = self.pool.sem.acquire, self.pool.sem.release
        put = self.waiters.put
        try:
            for args in iterable:
                acquire()
                thread = _spawn(function, *args)
                thread._link_bookkeeping(release)
                put(thread)
        except Exception as error:
            put(_Failure(error))
        except BaseException as error:
            put(_Failure(error))
            raise
        finally:
            self.done_spawning()


class _Finish:
    """What stands behind the last job of a map: ends the iteration, for good."""

    __slots__ = ("_queue",)

    def __init__(self, queue: Any) -> None:
        self._queue = queue

    def wait(self) -> Any:
        # Back into the queue: whoever asks again, or also reads, stops too.
        self._queue.put(self)
        raise StopIteration


class _Failure:
    """What stands for an item that the iterable failed to give."""

    __slots__ = ("_error",)

    def __init__(self, error: BaseException) -> None:
        self._error = error

    def wait(self) -> Any:
        try:
            raise self._error
        finally:
            # The traceback holds this frame: without this the pair is a cycle.
            del self


def _as_tuple(*args: Any) -> tuple[Any, ...]:
    return args


def _run_detached(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> None:
    """
    Call a function whose outcome nobody will ask for.

    Only failures are reported here. What ends a green thread or belongs to a
    caller further out (GreenletExit, Timeout, SystemExit) passes: the function
    may be running in place, inside another job.
    """
    try:
        function(*args, **kwargs)
    except Exception:
        if DEBUG:
            import traceback

            traceback.print_exc()
