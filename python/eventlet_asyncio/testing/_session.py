"""The plugin while it is on: how tests run, and what is looked at after each."""

from __future__ import annotations

import contextlib
import functools
import inspect
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from eventlet_asyncio._activate import is_active
from eventlet_asyncio.testing._checks import GreenChecks
from eventlet_asyncio.testing._shuffle import Order, search, shuffled
from eventlet_asyncio.testing._stacks import format_stacks, show_green_stacks

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_CHECKS: pytest.StashKey[GreenChecks] = pytest.StashKey()
_FAILED: pytest.StashKey[bool] = pytest.StashKey()
_ORDER: pytest.StashKey[Order] = pytest.StashKey()


def _seconds(text: str, name: str) -> float | None:
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        message = f"the ini option {name} is a number of seconds, not {text!r}"
        raise pytest.UsageError(message) from None


class GreenSession:
    """One run of pytest with the plugin on."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._auto = config.getini("green_tests") == "auto"
        if config.getini("green_tests") not in {"", "auto"}:
            message = f"the ini option green_tests is 'auto' or nothing, not {config.getini('green_tests')!r}"
            raise pytest.UsageError(message)
        self._timeout = _seconds(config.getini("green_timeout"), "green_timeout")
        blocking = config.getoption("green_blocking")
        if blocking is None:
            blocking = _seconds(config.getini("green_blocking"), "green_blocking")
        self._blocking: float | None = blocking
        self._order = self._parse_order(config.getoption("green_shuffle"))
        self._search: int | None = config.getoption("green_shuffle_search")
        self._recorder: Any = None
        self._evidence = self._evidence_file(config.getoption("green_evidence"))
        show_green_stacks(config)

    @staticmethod
    def _parse_order(text: str | None) -> Order | None:
        if text is None:
            return None
        try:
            return Order.parse(text)
        except ValueError:
            message = f"--green-shuffle takes a seed, as 7, or what a failure has printed, as 7:1,4; not {text!r}"
            raise pytest.UsageError(message) from None

    # Evidence

    def _evidence_file(self, name: str | None) -> Path | None:
        if name is None:
            return None
        worker = os.environ.get("PYTEST_XDIST_WORKER", "")
        path = Path(name).absolute()
        return path.with_name(f"{path.name}.{worker}") if worker else path

    @pytest.hookimpl
    def pytest_sessionstart(self) -> None:
        """Begin to record."""
        if self._evidence is not None and not self._is_controller():
            from eventlet_asyncio.evidence import Recorder

            self._recorder = Recorder()
            self._recorder.start()

    def _is_controller(self) -> bool:
        return bool(getattr(self._config.option, "numprocesses", None)) and not hasattr(
            self._config, "workerinput"
        )

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Write what was recorded; of xdist's workers, as one."""
        if self._evidence is None:
            return
        from eventlet_asyncio import evidence

        if self._recorder is not None:
            self._recorder.stop()
            evidence.write(self._recorder.document(), self._evidence)
            return
        parts = sorted(self._evidence.parent.glob(f"{self._evidence.name}.gw*"))
        if parts:
            evidence.write(evidence.load(*parts), self._evidence)
            for part in parts:
                part.unlink()

    # How a test runs

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> bool | None:
        """Look for an order in which the test fails, if that is asked for."""
        if not self._search or not is_active():
            return None
        from _pytest.runner import runtestprotocol

        def run(order: Order, following: pytest.Item | None = item) -> bool:
            item.stash[_ORDER] = order
            _renew(item)
            reports = runtestprotocol(item, nextitem=following, log=False)
            return not any(report.failed for report in reports)

        found = search(run, range(1, self._search + 1))
        item.stash[_ORDER] = Order(0, ()) if found is None else Order.parse(str(found))
        _renew(item)
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        runtestprotocol(item, nextitem=nextitem)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Watch the test; see to its time and its order."""
        item.stash[_FAILED] = True
        checks = GreenChecks(
            allow_leaks=self._allowed_leaks(item),
            blocking=None
            if item.get_closest_marker("allow_blocking")
            else self._blocking,
            failures=item.get_closest_marker("allow_failures") is None,
        )
        if self._recorder is not None:
            self._recorder.context = item.nodeid
        item.stash[_CHECKS] = checks
        checks.setUp()
        order = item.stash.get(_ORDER, self._order)
        try:
            with contextlib.ExitStack() as stack:
                if order is not None and is_active():
                    stack.enter_context(shuffled(order))
                yield
        except BaseException:
            if order is not None:
                item.add_report_section(
                    "call",
                    "green-shuffle",
                    f"the order was random: --green-shuffle={order} gives it again",
                )
            raise
        item.stash[_FAILED] = False

    @staticmethod
    def _allowed_leaks(item: pytest.Item) -> tuple[str, ...] | bool:
        marker = item.get_closest_marker("allow_leaks")
        if marker is None:
            return ()
        return marker.args or True

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Tell what is left when the test's fixtures are gone."""
        yield
        checks = item.stash.get(_CHECKS, None)
        if checks is None:
            return
        del item.stash[_CHECKS]
        problems = checks.finish()
        if self._recorder is not None:
            self._recorder.context = None
        # What failed has frames that keep what they were about to end.
        if problems and not item.stash[_FAILED]:
            pytest.fail("\n".join(["the test", *problems]), pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a plain test in a green thread, or in main with a limit to its time."""
        test = pyfuncitem.obj
        if inspect.iscoroutinefunction(test) or not self._has_eventlet():
            return None
        green = self._auto or pyfuncitem.get_closest_marker("green") is not None
        limit = self._limit(pyfuncitem)
        if not green and limit is None:
            return None
        self._run(functools.partial(test, **_arguments(pyfuncitem)), limit, green)
        return True

    @pytest.hookimpl(specname="pytest_pyfunc_call")
    def pytest_run_coroutine(self, pyfuncitem: pytest.Function) -> bool | None:
        """Run a coroutine that no other plugin has claimed; it may block."""
        test = pyfuncitem.obj
        if not inspect.iscoroutinefunction(test) or not self._has_eventlet():
            return None
        try:
            from eventlet.asyncio import spawn_for_awaitable
        except ImportError:
            return None
        body = functools.partial(test, **_arguments(pyfuncitem))

        def run() -> None:
            if is_active():
                from eventlet.asyncio import run

                run(body())
            else:
                spawn_for_awaitable(body()).wait()

        self._run(run, self._limit(pyfuncitem), green=False)
        return True

    @staticmethod
    def _has_eventlet() -> bool:
        if "eventlet" in sys.modules or is_active():
            return True
        return os.environ.get("EVENTLET_ASYNCIO_DISABLE") == "1"

    def _limit(self, item: pytest.Item) -> float | None:
        marker = item.get_closest_marker("green_timeout")
        return self._timeout if marker is None else float(marker.args[0])

    @staticmethod
    def _run(body: Callable[[], object], limit: float | None, green: bool) -> None:  # noqa: FBT001
        import eventlet

        thread: Any = None

        def run() -> None:
            nonlocal thread
            if not green:
                body()
                return
            thread = eventlet.spawn(body)
            thread.wait()

        timeout = eventlet.Timeout(limit)
        try:
            run()
        except eventlet.Timeout as error:
            if error is not timeout:
                raise
            stacks = format_stacks()
            if thread is not None:
                thread.kill()
            pytest.fail(
                f"the test took longer than {limit:g} s (green_timeout)\n{stacks}",
                pytrace=False,
            )
        finally:
            timeout.cancel()

    # Fixtures

    @pytest.fixture(name="virtual_clock")
    def _virtual_clock(self) -> Iterator[Any]:
        """Give a clock that jumps to the next timer whenever everybody waits."""
        from eventlet_asyncio.testing import virtual_clock

        with virtual_clock() as clock:
            yield clock

    @pytest.fixture(name="wait_until_idle")
    def _wait_until_idle(self) -> Callable[[], None]:
        """Wait until everybody else waits."""
        from eventlet_asyncio.testing import wait_until_idle

        return wait_until_idle

    @pytest.fixture(name="sequencer")
    def _sequencer(self) -> Any:
        """Run the blocks of a test in the order of their numbers."""
        from eventlet_asyncio.testing import Sequencer

        return Sequencer()


def _renew(item: pytest.Item) -> None:
    """Have an item run once more as if it had not run before."""
    getattr(item, "_initrequest", lambda: None)()
    item._report_sections.clear()


def _arguments(item: pytest.Function) -> dict[str, Any]:
    return {name: item.funcargs[name] for name in item._fixtureinfo.argnames}
