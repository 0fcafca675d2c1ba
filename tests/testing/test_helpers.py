"""The helpers of `eventlet_asyncio.testing` without pytest's plugin."""

from __future__ import annotations

import asyncio
import contextlib
import doctest
import importlib
import random
import subprocess
import sys
import threading
import time
import unittest

import pytest

import eventlet
import eventlet.asyncio
from eventlet.green import Queue as green_queue
from eventlet.green import socket
from eventlet.patcher import original
from eventlet_asyncio import testing
from eventlet_asyncio.testing import (
    GreenChecks,
    Sequencer,
    assert_no_switch,
    assert_switches,
    expect_colour,
    shuffled,
    virtual_clock,
    wait_until_idle,
)
from eventlet_asyncio.testing._shuffle import Order, search


@pytest.mark.parametrize(
    "module", ["_clock", "_idle", "_sequence", "_shuffle", "_switches"]
)
def test_examples_of_docstrings_hold(module):
    """Each is run as it is printed."""
    home = importlib.import_module(f"eventlet_asyncio.testing.{module}")
    failed, tried = doctest.testmod(home)
    assert (failed, tried > 0) == (0, True)


def test_all_names_are_there():
    """What is promised can be imported."""
    assert all(getattr(testing, name) for name in testing.__all__)


def test_a_day_of_timers_takes_a_moment():
    """Of the hub, of the loop, of sleeping green threads."""
    seen = []

    async def tick():
        for _ in range(24):
            await asyncio.sleep(3600)
            seen.append("task")

    began = time.perf_counter()
    with virtual_clock() as clock:
        start = clock.time()
        ticking = eventlet.asyncio.spawn_for_awaitable(tick())
        for hour in range(1, 24):
            eventlet.spawn_after(hour * 3600 + 1, seen.append, hour)
        eventlet.sleep(24 * 3600 + 10)
        ticking.wait()
        assert clock.time() - start == pytest.approx(24 * 3600 + 10)
    took = time.perf_counter() - began
    assert [n for n in seen if n != "task"] == list(range(1, 24))
    assert seen[::2] == ["task"] * 24
    # A day; what it takes is measured by tests/benchmarks.
    assert took < 60


@pytest.mark.parametrize("seed", range(5))
def test_virtual_time_gives_the_order_of_the_real_clock(seed):
    """Random delays, some of them equal, in green threads and tasks."""
    draw = random.Random(seed)
    delays = [draw.choice([0.001, 0.002, 0.005, 0.01]) * n for n in range(1, 12)]
    delays += [delays[0]] * 3
    draw.shuffle(delays)

    def run():
        order = []

        async def later(number, delay):
            await asyncio.sleep(delay)
            order.append(number)

        def green(number, delay):
            eventlet.sleep(delay)
            order.append(number)

        threads = [
            eventlet.asyncio.spawn_for_awaitable(later(number, delay))
            if number % 3 == 0
            else eventlet.spawn(green, number, delay)
            for number, delay in enumerate(delays)
        ]
        for thread in threads:
            thread.wait()
        return order

    with virtual_clock():
        first = run()
    due = sorted(range(len(delays)), key=delays.__getitem__)
    assert [delays[n] for n in first] == [delays[n] for n in due]
    with virtual_clock():
        assert run() == first


def test_frozen_clock_moves_as_told():
    """Timers within `advance` fire in it, in their order; the rest stays."""
    seen = []
    with virtual_clock(freeze=True) as clock:
        for delay in (5, 3, 9):
            eventlet.spawn_after(delay, seen.append, delay)
        clock.advance(4)
        assert seen == [3]
        with pytest.raises(RuntimeError, match="frozen"):
            eventlet.sleep(1)
        clock.advance(1)
        assert seen == [3, 5]
        clock.unfreeze()
        eventlet.sleep(10)
    assert seen == [3, 5, 9]


def test_clock_is_seen_by_what_measures_time():
    """`time.monotonic`, `time.sleep` in green code, and who has taken them by name."""
    with virtual_clock():
        before = time.monotonic()
        time.sleep(100)
        assert time.monotonic() - before == pytest.approx(100)
        queue = green_queue.Queue()
        with pytest.raises(green_queue.Empty):
            queue.get(timeout=50)
        assert time.monotonic() - before == pytest.approx(150)
        with pytest.raises(eventlet.Timeout), eventlet.Timeout(10):
            eventlet.Event().wait()
    assert abs(time.monotonic() - before) < 60


def test_real_io_is_refused_or_waited_for():
    """As the argument says."""
    one, two = socket.socketpair()
    with contextlib.closing(one), contextlib.closing(two):
        with (
            virtual_clock(),
            pytest.raises(RuntimeError, match="io='wait'"),
            eventlet.Timeout(5),
        ):
            one.recv(1)
        with virtual_clock(io="wait") as clock:
            before = clock.time()
            eventlet.spawn(two.sendall, b"x")
            with eventlet.Timeout(5):
                assert one.recv(1) == b"x"
            assert clock.time() == before
            with pytest.raises(eventlet.Timeout), eventlet.Timeout(5):
                one.recv(1)


def test_what_a_task_sends_comes_before_the_next_timer():
    """Also where no green thread ran in between, which would have made a turn."""
    one, two = original("socket").socketpair()

    async def program():
        loop = asyncio.get_running_loop()
        order = []

        async def receive():
            for _ in range(4):
                letter = await loop.sock_recv(one, 1)
                order.append(letter.decode())

        async def send():
            for letter in "abcd":
                await asyncio.sleep(1)
                await loop.sock_sendall(two, letter.encode())
                await asyncio.sleep(0)

        for number in range(4):
            loop.call_later(number + 1.01, order.append, str(number))
        await asyncio.gather(receive(), send(), asyncio.sleep(5))
        return order

    one.setblocking(False)
    two.setblocking(False)
    with contextlib.closing(one), contextlib.closing(two), virtual_clock(io="wait"):
        for run in (
            eventlet.asyncio.run,
            asyncio.run,
            lambda it: eventlet.spawn(asyncio.run, it).wait(),
        ):
            assert run(program()) == list("a0b1c2d3")


def test_sockets_of_the_loop_are_real_io():
    one, two = original("socket").socketpair()
    one.setblocking(False)

    async def receive():
        await asyncio.wait_for(asyncio.get_running_loop().sock_recv(one, 1), 5)

    with (
        contextlib.closing(one),
        contextlib.closing(two),
        virtual_clock(),
        pytest.raises(RuntimeError, match="of the loop"),
    ):
        eventlet.asyncio.run(receive())


def test_one_clock_at_a_time():
    with (
        virtual_clock(),
        pytest.raises(RuntimeError, match="already"),
        virtual_clock(),
    ):
        pass
    with pytest.raises(ValueError, match="io='wait'"), virtual_clock(io="never"):
        pass


def test_idle_is_when_everybody_waits():
    """Chains of green threads and tasks go on to their end; a far timer does not count."""
    seen = []

    async def task():
        await asyncio.sleep(0)
        seen.append("task")

    def chain(depth):
        seen.append(depth)
        if depth:
            eventlet.spawn(chain, depth - 1)
            eventlet.sleep(0)

    eventlet.spawn(chain, 5)
    eventlet.asyncio.spawn_for_awaitable(task())
    far = eventlet.spawn_after(1000, seen.append, "far")
    wait_until_idle()
    assert sorted(map(str, seen)) == ["0", "1", "2", "3", "4", "5", "task"]
    far.cancel()


def test_steps_run_in_order_whoever_they_belong_to():
    """Green threads, a coroutine, an OS thread."""
    order = []
    seq = Sequencer()

    def step(number):
        with seq(number):
            order.append(number)

    async def coroutine():
        async with seq(2):
            order.append(2)

    os_thread = threading.Thread(target=step, args=(1,))
    threads = [
        eventlet.spawn(step, 3),
        eventlet.asyncio.spawn_for_awaitable(coroutine()),
    ]
    os_thread.start()
    threads.append(eventlet.spawn(step, 0))
    for thread in threads:
        thread.wait()
    os_thread.join()
    assert order == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="used already"):
        seq(3)


def test_switches_are_counted():
    """Those of the caller, and of nobody else."""
    with assert_no_switch():
        eventlet.spawn(eventlet.sleep, 0)
    with pytest.raises(AssertionError, match="sleep"), assert_no_switch():
        eventlet.sleep(0)
    with assert_switches(max=2, min=2) as switches:
        eventlet.sleep(0)
        eventlet.sleep(0)
    assert switches.count == 2
    with pytest.raises(AssertionError, match="at most 1"), assert_switches(max=1):
        eventlet.sleep(0)
        eventlet.sleep(0)
    with expect_colour("never"), expect_colour("may"):
        sum(range(5))
    with pytest.raises(AssertionError, match="at least"), expect_colour("must"):
        pass
    with pytest.raises(ValueError, match="colour"), expect_colour("blue"):
        pass


def unordered(order):
    """Fails in some orders: two numbers are to come in theirs."""
    with shuffled(order):
        seen = []
        pile = eventlet.GreenPile()
        for number in range(8):
            pile.spawn(seen.append, number)
        list(pile)
    return seen.index(3) < seen.index(6)


def test_search_finds_the_least_that_fails():
    """One displaced switch suffices, and gives the failure again each time."""
    found = search(unordered, range(50))
    assert len(found.only) == 1
    assert [unordered(Order.parse(str(found))) for _ in range(20)] == [False] * 20


def test_tasks_are_shuffled_too():
    """On the hub's own loop."""

    def run(seed):
        seen = []

        async def one(number):
            await asyncio.sleep(0)
            seen.append(number)

        async def main():
            await asyncio.gather(*(one(number) for number in range(8)))

        with shuffled(seed):
            eventlet.asyncio.run(main())
        return seen

    assert run(1) == run(1)
    assert len({tuple(run(seed)) for seed in range(5)}) > 1
    assert sorted(run(3)) == list(range(8))


def test_checks_serve_unittest():
    """As a fixture by its methods, and as a context manager."""

    class Case(unittest.TestCase):
        def setUp(self):
            checks = GreenChecks(allow_leaks=["descriptors"])
            checks.setUp()
            self.addCleanup(checks.cleanUp)

        def test_clean(self):
            eventlet.spawn(int).wait()

        def test_leaks(self):
            eventlet.spawn(eventlet.sleep, 100)

    result = unittest.TestResult()
    unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
    assert result.testsRun == 2
    ((case, text),) = result.failures
    assert case.id().endswith("test_leaks")
    assert "left a green thread" in text
    assert "in test_checks_serve_unittest" in text


def test_checks_need_known_kinds():
    with pytest.raises(ValueError, match="green threads"):
        GreenChecks(allow_leaks=["socks"])


STESTR = """
import testtools
import eventlet
from eventlet_asyncio.testing import GreenChecks

class Case(testtools.TestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(GreenChecks())

    def test_clean(self):
        eventlet.sleep(0)

    def test_leaks(self):
        eventlet.spawn(eventlet.sleep, 100)
"""


def test_checks_serve_testtools(tmp_path):
    """As the fixture that OpenStack's tests use, under stestr's runner."""
    pytest.importorskip("testtools")
    (tmp_path / "test_it.py").write_text(STESTR)
    done = subprocess.run(
        [sys.executable, "-m", "testtools.run", "test_it"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "test_it.Case.test_leaks" in said
    assert "left a green thread" in said
    assert "Ran 2 tests" in said
