"""All checks of one test together, for any test framework."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet_asyncio.testing._failures import Failures
from eventlet_asyncio.testing._leaks import KINDS, Leaks
from eventlet_asyncio.testing._origins import Origins

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

#: Seconds without a switch after which a green thread counts as blocking.
BLOCKED = 0.1

# Of the process: what it puts in stays in, and does nothing while it is off.
_origins = Origins()


class _Watchers:
    """Who looks for blocking code: one OS thread for each limit, since starting one costs."""

    def __init__(self) -> None:
        self._told: dict[float, list[str] | None] = {}

    def watch(self, seconds: float, told: list[str]) -> None:
        """Have texts put into a list, from here on."""
        if seconds not in self._told:
            from eventlet_asyncio.migration._blocking import BlockingTrace

            BlockingTrace(seconds, lambda text: self._tell(seconds, text)).start()
        self._told[seconds] = told

    def unwatch(self, seconds: float) -> None:
        """Put no more texts in."""
        self._told[seconds] = None

    def _tell(self, seconds: float, text: str) -> None:
        told = self._told[seconds]
        if told is not None:
            told.append(text)


_watchers = _Watchers()


class GreenChecks:
    """
    Fails a test that leaves something behind, blocks the hub, or swallows an error.

    For unittest and testtools, which OpenStack runs: ``self.useFixture(GreenChecks())``
    in ``setUp``, or `setUp` and `cleanUp` by hand, or as a context manager. pytest users
    have the same through the plugin. With upstream's implementation green threads,
    timers and listeners are not seen.

    Args:
        allow_leaks: Kinds that may be left over; ``True`` for all. The kinds are
            green threads, tasks, timers, listeners, threads, descriptors, coroutines
            and patches.
        blocking: Seconds that a green thread may run without letting others run;
            ``None`` for any time.
        failures: Whether an error that nobody took fails the test.

    Raises:
        ValueError: If there is no such kind.
    """

    def __init__(
        self,
        *,
        allow_leaks: Iterable[str] | bool = (),
        blocking: float | None = None,
        failures: bool = True,
    ) -> None:
        allowed = _kinds(allow_leaks)
        self._leaks = Leaks(_origins, allowed) if set(KINDS) - set(allowed) else None
        self._failures = Failures() if failures else None
        self._seconds = blocking
        self._told: list[str] = []

    def setUp(self) -> None:
        """Begin to watch. Not a switch point."""
        if self._leaks is not None:
            self._leaks.start()
        if self._failures is not None:
            self._failures.start()
        if self._seconds is not None:
            _watchers.watch(self._seconds, self._told)

    def cleanUp(self) -> None:
        """
        End it, and tell what was found. A switch point if something is left over.

        Raises:
            AssertionError: With each finding, and the line that made it.
        """
        problems = self.finish()
        if problems:
            raise AssertionError("\n".join(problems))

    def finish(self) -> list[str]:
        """End it, and return what was found. A switch point if something is left over."""
        problems = []
        if self._seconds is not None:
            _watchers.unwatch(self._seconds)
            problems += [f"blocked the hub: {text}" for text in self._told]
            self._told.clear()
        left = [] if self._leaks is None else self._leaks.stop()
        if self._failures is not None:
            problems += [
                f"swallowed an error:\n{text}" for text in self._failures.stop()
            ]
        return problems + [f"left {leak}" for leak in left]

    def getDetails(self) -> dict[str, Any]:
        """Return nothing: what testtools asks of a fixture."""
        return {}

    def __enter__(self) -> Self:
        self.setUp()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        problems = self.finish()
        if problems and error is None:
            raise AssertionError("\n".join(problems))


def _kinds(allowed: Iterable[str] | bool) -> tuple[str, ...]:
    if isinstance(allowed, bool):
        return KINDS if allowed else ()
    kinds = tuple(allowed)
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        message = f"no kind of leak is named {', '.join(unknown)}: there are {', '.join(KINDS)}"
        raise ValueError(message)
    return kinds
