"""
Green threads that wait for each other's results by key.

Each consumer owns a queue. It is filled with the keys of the results it asked
for, as they become available: keys known at the start at once, the others by
whoever posts them. A post therefore wakes only those who asked for its key, a
consumer that is interrupted loses nothing, and delivery is in order of
availability by construction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from eventlet import greenthread
from eventlet.event import Event
from eventlet.queue import LightQueue
from eventlet.support.greenlets import GreenletExit

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping

__all__ = ["Collision", "DAGPool", "Event", "PropagateError"]

_MISSING: Any = object()


class Collision(Exception):
    """A key was spawned or posted twice."""


class PropagateError(Exception):
    """
    A green thread of a `DAGPool` failed; stands where its result would.

    Attributes:
        key: The key of the green thread that failed.
        exc: What it raised. If a result it needed had failed before, this is
            the `PropagateError` of that one, and so on down to the cause.
    """

    def __init__(self, key: Hashable, exc: BaseException) -> None:
        # Exactly the arguments, so that copies and pickles can be rebuilt.
        super().__init__(key, exc)
        self.key = key
        self.exc = exc

    def __str__(self) -> str:
        reason = str(self.exc)
        text = f"PropagateError({self.key}): {type(self.exc).__name__}"
        return f"{text}: {reason}" if reason else text


class _Running(NamedTuple):
    """A green thread of the pool and the keys it was told to wait for."""

    thread: Any
    depends: tuple[Any, ...]


class DAGPool:
    """
    Run green threads that consume each other's results, in any order.

    Each green thread has a key under which its result is stored, and is given
    an iterator over the results of the keys it depends on.

    Args:
        preload: Results known beforehand: a mapping, or ``(key, value)`` pairs.
    """

    def __init__(
        self, preload: Mapping[Any, Any] | Iterable[tuple[Any, Any]] = ()
    ) -> None:
        self.values: dict[Any, Any] = dict(preload)
        self.coros: dict[Any, _Running] = {}
        self._watchers: dict[Any, list[Any]] = {}

    def waitall(self) -> dict[Any, Any]:
        """Wait for every result the pool knows of; `wait` without keys."""
        return self.wait()

    def wait(self, keys: Iterable[Any] = _MISSING) -> dict[Any, Any]:
        """
        Wait until all the keys have results.

        Switch point unless they have.

        Args:
            keys: The keys to wait for. By default all those with a result or
                a green thread when the call is made.

        Returns:
            A dict of the results, with just those keys.

        Raises:
            PropagateError: If one of the green threads failed.
        """
        return dict(self.wait_each(keys))

    def wait_each(self, keys: Iterable[Any] = _MISSING) -> Iterator[tuple[Any, Any]]:
        """
        Iterate over ``(key, value)`` pairs as they become available.

        Advancing the iterator is a switch point if nothing is.

        Args:
            keys: As for `wait`.

        Raises:
            PropagateError: On reaching the result of a green thread that
                failed.
        """
        return self._checked(self._watch(keys))

    def wait_each_success(
        self, keys: Iterable[Any] = _MISSING
    ) -> Iterator[tuple[Any, Any]]:
        """
        Iterate over the pairs of those that succeeded, as `wait_each`.

        Failures are left out; the iterator ends when all keys are settled.
        """
        watched = self._watch(keys)
        return (pair for pair in watched if not isinstance(pair[1], PropagateError))

    def wait_each_exception(
        self, keys: Iterable[Any] = _MISSING
    ) -> Iterator[tuple[Any, PropagateError]]:
        """
        Iterate over ``(key, PropagateError)`` of those that failed.

        Successes are left out; the iterator ends when all keys are settled.
        """
        watched = self._watch(keys)
        return (pair for pair in watched if isinstance(pair[1], PropagateError))

    def spawn(
        self,
        key: Hashable,
        depends: Iterable[Any],
        function: Callable[..., Any],
        *args: Any,
        **kwds: Any,
    ) -> None:
        """
        Start a green thread whose result will be stored under ``key``.

        It runs ``function(key, results, *args, **kwds)``, where ``results``
        iterates over the ``(key, value)`` pairs of ``depends`` as they become
        available. It starts at once: to wait is up to the function.

        Args:
            key: Any hashable object, unique in the pool.
            depends: Keys whose results the function consumes; they need not
                be known yet.
            function: Returns the result for ``key``.
            *args: Further positional arguments for it.
            **kwds: Keyword arguments for it.

        Raises:
            Collision: If the key has a green thread or a result.
        """
        if key in self.coros or key in self.values:
            msg = f"DAGPool already has {key!r}: use another key, or kill() it first"
            raise Collision(msg)
        upstream = tuple(dict.fromkeys(depends))
        results = self._checked(self._watch(upstream))
        thread = greenthread.spawn(self._run, key, results, function, args, kwds)
        self.coros[key] = _Running(thread, upstream)

    def spawn_many(
        self,
        depends: Mapping[Any, Iterable[Any]],
        function: Callable[..., Any],
        *args: Any,
        **kwds: Any,
    ) -> None:
        """
        Start one green thread for each entry of a dict of dependencies.

        Args:
            depends: Maps each key to the keys it depends on.
            function: As for `spawn`, with the arguments that follow.
            *args: Further positional arguments for it.
            **kwds: Keyword arguments for it.

        Raises:
            Collision: If one of the keys has a green thread or a result.
        """
        for key, upstream in depends.items():
            self.spawn(key, upstream, function, *args, **kwds)

    def kill(self, key: Hashable) -> None:
        """
        Kill the green thread of ``key`` and forget it.

        Its result stays unknown: the key can be spawned or posted anew, and
        those who wait for it go on waiting. Switch point.

        Raises:
            KeyError: If no green thread with that key is running.
        """
        self.coros.pop(key).thread.kill()

    def post(self, key: Hashable, value: Any, replace: bool = False) -> None:
        """
        Store a result and hand it to those who wait for it.

        A green thread of the pool may post its own key early; what its
        function returns is then dropped. Never a switch point.

        Args:
            key: The key.
            value: The result. A `PropagateError` is raised in consumers.
            replace: Allow to change a result already there. Consumers that
                took the old one hear nothing of it.

        Raises:
            Collision: If there is a result and ``replace`` is false, or the
                key belongs to another green thread that is still running.
        """
        if key in self.coros and not self._is_current(key):
            msg = f"the green thread of {key!r} is running: kill() it to post a result"
            raise Collision(msg)
        if key in self.values and not replace:
            msg = f"DAGPool already has a result for {key!r}: replace=True changes it"
            raise Collision(msg)
        self.values[key] = value
        for queue in self._watchers.pop(key, ()):
            queue.put(key)

    def __getitem__(self, key: Hashable) -> Any:
        """
        Return the result of ``key``, waiting for it if need be.

        Raises:
            PropagateError: If its green thread failed.
        """
        if key not in self.values:
            for _ in self._watch((key,)):
                pass
        return self._unless_failed(self.values[key])

    def get(self, key: Hashable, default: Any = None) -> Any:
        """
        Return the result of ``key``, or ``default`` if there is none yet.

        Raises:
            PropagateError: If its green thread failed.
        """
        return self._unless_failed(self.values.get(key, default))

    def keys(self) -> tuple[Any, ...]:
        """Return the keys that have results."""
        return tuple(self.values)

    def items(self) -> tuple[tuple[Any, Any], ...]:
        """
        Return the ``(key, value)`` pairs there are so far.

        Raises:
            PropagateError: If one of the green threads failed.
        """
        return tuple(self._checked(self.values.items()))

    def running(self) -> int:
        """Return how many green threads of the pool have not ended."""
        return len(self.coros)

    def running_keys(self) -> tuple[Any, ...]:
        """Return the keys of the green threads that have not ended."""
        return tuple(self.coros)

    def waiting(self) -> int:
        """Return how many green threads still lack a result they depend on."""
        return len(self.waiting_for())

    def waiting_for(self, key: Hashable = _MISSING) -> Any:
        """
        Tell what green threads of the pool are waiting for.

        Args:
            key: Ask for this green thread only.

        Returns:
            The set of keys it still lacks; empty if it lacks none, or has
            ended. Without ``key``: a dict of those sets, without empty ones.

        Raises:
            KeyError: If nothing was spawned or posted under ``key``.
        """
        if key is not _MISSING:
            if key not in self.coros and key in self.values:
                return set()
            return self._lacking(self.coros[key])
        lacking = {name: self._lacking(entry) for name, entry in self.coros.items()}
        return {name: keys for name, keys in lacking.items() if keys}

    def _lacking(self, running: _Running) -> set[Any]:
        return {key for key in running.depends if key not in self.values}

    def _watch(self, keys: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        """
        Iterate over pairs as they become available, failures included.

        The keys are read, and the watch begins, at the call: a key posted
        before the first step must not be missed.
        """
        if keys is _MISSING:
            keys = (*self.values, *self.coros)
        wanted = dict.fromkeys(keys)
        ready = LightQueue()
        for key in wanted:
            if key in self.values:
                ready.put(key)
            else:
                self._watchers.setdefault(key, []).append(ready)
        return self._deliver(ready, len(wanted))

    def _deliver(self, ready: Any, count: int) -> Iterator[tuple[Any, Any]]:
        for _ in range(count):
            key = ready.get()
            yield key, self.values[key]

    def _checked(self, pairs: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
        return ((key, self._unless_failed(value)) for key, value in pairs)

    @staticmethod
    def _unless_failed(value: Any) -> Any:
        if isinstance(value, PropagateError):
            raise value
        return value

    def _run(
        self,
        key: Hashable,
        results: Iterator[tuple[Any, Any]],
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwds: dict[str, Any],
    ) -> None:
        """Run in the green thread of ``key``; store what the function makes of it."""
        value: Any = None
        failure: BaseException | None = None
        try:
            try:
                value = function(key, results, *args, **kwds)
            except (GreenletExit, KeyboardInterrupt, SystemExit):
                # No result, and no failure that others could act on.
                raise
            except BaseException as error:
                failure = error
                value = PropagateError(key, error)
            if self._is_current(key):
                if key not in self.values:
                    self.post(key, value)
                elif failure is not None:
                    # Its result was posted already: the hub reports the
                    # failure, there is no other way to hear of it.
                    raise failure
        finally:
            if self._is_current(key):
                del self.coros[key]
            # The failure's traceback holds this frame.
            value = failure = None

    def _is_current(self, key: Hashable) -> bool:
        """Tell whether ``key`` is the caller's: `kill` may have taken it away."""
        running = self.coros.get(key)
        return running is not None and running.thread is greenthread.getcurrent()
