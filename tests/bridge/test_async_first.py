"""Programs whose entry is asyncio: its loops come and go, and green threads attach to them."""

from __future__ import annotations

import importlib.util
import sys

import pytest

ENVIRONMENT = {"EVENTLET_HUB": "asyncio"}
RUNNERS = ["asyncio.run"]
if importlib.util.find_spec("uvloop") is not None:
    RUNNERS.append("uvloop.run")


@pytest.fixture(params=RUNNERS)
def run_program(request, run_isolated):
    """Give the test a function that runs a program with `run` as the loop's runner."""

    def run(program):
        module = request.param.partition(".")[0]
        head = f"import {module}\nrun = {request.param}\nimport asyncio, eventlet\n"
        done = run_isolated(head + program, ENVIRONMENT)
        assert done.stderr == ""
        return done.stdout.split()

    return run


def test_two_runs_in_a_row_and_green_code_before_between_and_after(run_program):
    program = """
def green(name):
    eventlet.sleep(0.001)
    return name

async def main(name):
    return await eventlet.spawn(green, name)

print(eventlet.spawn(green, "before").wait())
print(run(main("first")))
print(eventlet.spawn(green, "between").wait())
print(run(main("second")))
print(eventlet.spawn(green, "after").wait())
"""
    assert run_program(program) == ["before", "first", "between", "second", "after"]


def test_runs_without_any_green_code_before(run_program):
    program = """
async def main(name):
    return await eventlet.spawn(str.upper, name)

print(run(main("first")), run(main("second")))
"""
    assert run_program(program) == ["FIRST", "SECOND"]


def test_green_threads_stay_suspended_between_runs_and_go_on_under_the_next(
    run_program,
):
    program = """
from eventlet.event import Event
event, log = Event(), []

def green():
    log.append("begins")
    event.wait()
    log.append("goes on")

async def first():
    eventlet.spawn(green)
    await eventlet.spawn(lambda: None)

async def second():
    event.send()
    await eventlet.spawn(lambda: None)

run(first())
assert log == ["begins"]
run(second())
print(*log, sep="\\n")
"""
    assert run_program(program) == ["begins", "goes", "on"]


def test_green_coroutines_in_a_program_of_asyncio(run_program):
    program = """
from eventlet.asyncio import spawn_for_awaitable

async def work(number):
    eventlet.sleep(0.001)
    await asyncio.sleep(0.001)
    return number

async def main():
    return await asyncio.gather(*[spawn_for_awaitable(work(n)) for n in range(3)])

print(run(main()), run(main()))
"""
    assert "".join(run_program(program)) == "[0,1,2][0,1,2]"


def test_tasks_blocked_in_green_calls_are_cancelled_when_the_run_ends(run_program):
    program = """
from eventlet.asyncio import spawn_for_awaitable

async def work():
    try:
        eventlet.sleep(60)
    except asyncio.CancelledError:
        print("cancelled")
        raise

async def main():
    spawn_for_awaitable(work())
    await asyncio.sleep(0.001)

run(main())
print("ended")
"""
    assert run_program(program) == ["cancelled", "ended"]


def test_run_of_eventlet_asyncio_twice_and_beside_asyncios(run_program):
    program = """
import eventlet.asyncio

async def green():
    eventlet.sleep(0.001)
    return "green"

async def plain():
    return await eventlet.spawn(lambda: "plain")

print(eventlet.asyncio.run(green()), run(plain()), eventlet.asyncio.run(green()))
print(run(plain()))
"""
    assert run_program(program) == ["green", "plain", "green", "plain"]


def test_loop_that_runs_piece_by_piece_serves_green_threads(run_isolated):
    """As notebooks do it: one loop for ever, and a coroutine for each cell."""
    program = """
import asyncio, eventlet
from eventlet.queue import Queue

loop = asyncio.new_event_loop()
queue = Queue()
log = []

def green():
    while True:
        log.append(queue.get())

async def cell(step):
    if step == 0:
        eventlet.spawn(green)
    queue.put_nowait(step)
    await asyncio.sleep(0.001)
    return log[-1]

async def kernel():
    return [await asyncio.ensure_future(cell(step)) for step in range(3)]

print(loop.run_until_complete(kernel()))
print(loop.run_until_complete(cell(3)))
loop.call_later(0.01, loop.stop)
loop.call_soon(queue.put_nowait, 4)
loop.run_forever()
print(log)
loop.close()
"""
    done = run_isolated(program, ENVIRONMENT)
    assert done.stdout == "[0, 1, 2]\n3\n[0, 1, 2, 3, 4]\n"
    assert done.stderr == ""


def test_isolated_asyncio_test_cases_mix_with_green_ones(run_isolated):
    program = """
import unittest, asyncio, eventlet, eventlet.asyncio

def green(value):
    eventlet.sleep(0.001)
    return value

async def work(value):
    eventlet.sleep(0.001)
    return value

class Mixed(unittest.IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.value = await eventlet.spawn(green, 1)

    async def test_a(self):
        self.assertEqual(await eventlet.spawn(green, 2), self.value + 1)

    def test_b(self):
        # Called by main, between steps of the loop.
        self.assertEqual(eventlet.spawn(green, 2).wait(), 2)

    async def test_c(self):
        self.assertEqual(await eventlet.asyncio.spawn_for_awaitable(work(3)), 3)

class Plain(unittest.TestCase):
    def test_d(self):
        self.assertEqual(eventlet.spawn(green, 4).wait(), 4)
        self.assertEqual(eventlet.asyncio.run(work(5)), 5)

class Again(Mixed):
    pass

unittest.main(verbosity=0)
"""
    done = run_isolated(program, {**ENVIRONMENT, "PYTHONWARNINGS": "error"})
    assert done.stderr.rstrip().endswith("OK")


def test_pytest_asyncio_tests_mix_with_green_ones(run_isolated, tmp_path):
    pytest.importorskip("pytest_asyncio")
    tests = """
import asyncio, eventlet, eventlet.asyncio, pytest

def green(value):
    eventlet.sleep(0.001)
    return value

async def work(value):
    eventlet.sleep(0.001)
    return value

def test_plain_before():
    assert eventlet.spawn(green, 1).wait() == 1

@pytest.mark.asyncio
async def test_coroutine():
    assert await eventlet.spawn(green, 2) == 2
    eventlet.sleep(0.001)
    assert await eventlet.asyncio.spawn_for_awaitable(work(3)) == 3

def test_plain_between():
    assert eventlet.asyncio.run(work(4)) == 4

@pytest.mark.asyncio
async def test_coroutine_again():
    assert await eventlet.spawn(green, 5) == 5

def test_plain_after():
    assert eventlet.asyncio.await_(work(6)) == 6
"""
    path = tmp_path / "test_mixed.py"
    path.write_text(tests)
    # A configuration of its own: ours keeps the plugin out.
    settings = "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
    path.with_name("pytest.ini").write_text(settings)
    options = [
        "-q", "-p", "pytest_asyncio", "-p", "no:cacheprovider", "-W", "error", str(path)
    ]  # fmt: skip
    program = f"import sys, pytest\nsys.exit(pytest.main({options!r}))\n"
    assert "5 passed" in run_isolated(program, ENVIRONMENT).stdout


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Runner is new in 3.11")
def test_runner_of_asyncio_serves_green_threads_between_its_runs(run_isolated):
    program = """
import asyncio, eventlet

async def work(value):
    return await eventlet.spawn(lambda: value)

with asyncio.Runner() as runner:
    print(runner.run(work(1)), eventlet.spawn(lambda: 2).wait(), runner.run(work(3)))
"""
    done = run_isolated(program, ENVIRONMENT)
    assert (done.stdout, done.stderr) == ("1 2 3\n", "")
