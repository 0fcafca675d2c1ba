"""asyncio's debug mode: it names the green thread that is slow, and not the hub."""

from __future__ import annotations

import asyncio
import functools
import logging
import re
import sys
import time

import pytest

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, spawn_for_awaitable

SLOW = 0.1


@pytest.fixture(autouse=True)
def usable(loop_kind):
    """Skip what uvloop's debug mode cannot do with sys._getframe() of CPython 3.15."""
    if loop_kind == "uvloop" and sys.version_info >= (3, 15):
        pytest.skip("called without a Python frame it returns one that has no code")


@pytest.fixture
def event_loop():
    """Put the hub's loop into debug mode."""
    loop = hubs.get_hub().loop
    loop.set_debug(True)
    loop.slow_callback_duration = SLOW
    # The mode is noticed by the next turn.
    eventlet.sleep(0)
    eventlet.sleep(0)
    yield loop
    loop.set_debug(False)
    eventlet.sleep(0)


@pytest.fixture
def reports(event_loop, caplog):
    """Give the test a function that returns who was reported as slow."""

    def names():
        found = []
        for record in caplog.get_records("call"):
            match = re.match(r"Executing (.*) took [\d.]+ seconds", record.getMessage())
            if match:
                found.append(match[1])
        return found

    with caplog.at_level(logging.WARNING, "asyncio"):
        yield names


def slow():
    time.sleep(2 * SLOW)


def place(function):
    """Say how a function is named in a report."""
    code = function.__code__
    name = getattr(code, "co_qualname", code.co_name)
    return f"{name}() at {code.co_filename}:{code.co_firstlineno}"


@pytest.mark.parametrize(
    "start",
    [
        lambda: eventlet.spawn(slow).wait(),
        lambda: (eventlet.spawn_n(slow), eventlet.sleep(0)),
        lambda: eventlet.spawn_after(0.001, slow).wait(),
    ],
    ids=["spawn", "spawn_n", "spawn_after"],
)
def test_slow_green_thread_is_named(reports, start):
    start()
    assert reports() == [f"green thread {place(slow)}"]


def test_slow_part_between_two_waits_is_named_with_where_it_ended(reports, caplog):
    def body():
        eventlet.sleep(0)
        slow()
        eventlet.sleep(0)

    eventlet.spawn(body).wait()
    assert reports() == [f"green thread {place(body)}"]
    assert f"until it waited at {__file__}:" in caplog.text


def test_green_threads_that_are_not_slow_are_not_reported(event_loop, reports):
    event_loop.slow_callback_duration = 20
    eventlet.sleep(0)

    def body():
        for _ in range(3):
            time.sleep(0.001)
            eventlet.sleep(0)

    greens = [eventlet.spawn(body) for _ in range(4)]
    for green in greens:
        green.wait()
    assert reports() == []


def test_slow_main_is_named(reports):
    eventlet.sleep(0)
    slow()
    eventlet.sleep(0)
    (name,) = reports()
    assert name.startswith("main ")


def test_slow_callback_of_the_hub_is_named(reports):
    hub = hubs.get_hub()
    hub.schedule_call_global(0, slow)
    hub.schedule_call_global(0, functools.partial(time.sleep, 2 * SLOW))
    eventlet.sleep(0.001)
    assert reports() == [f"timer {place(slow)}", "timer sleep"]


def test_slow_coroutine_is_reported_by_asyncio(reports, loop_kind):
    async def work():
        slow()

    spawn_for_awaitable(work()).wait()
    (name,) = reports()
    assert name.startswith("<Task")
    assert "work()" in name


def test_green_thread_that_is_slow_after_a_coroutine_is_named(reports):
    async def work():
        await asyncio.sleep(0)

    def body():
        await_(work())
        slow()

    eventlet.spawn(body).wait()
    assert reports() == [f"green thread {place(body)}"]


def test_error_and_order_are_the_same_in_debug_mode(event_loop):
    log = []

    def body(name):
        log.append(name)
        eventlet.sleep(0)
        log.append(name)
        if name == 1:
            raise KeyError(name)
        return name

    greens = [eventlet.spawn(body, name) for name in range(3)]
    assert greens[0].wait() == 0
    with pytest.raises(KeyError):
        greens[1].wait()
    assert greens[2].wait() == 2
    assert log == [0, 1, 2] * 2


def test_mode_ends_when_the_loop_says_so(event_loop, reports):
    event_loop.set_debug(False)
    eventlet.sleep(0)
    eventlet.sleep(0)
    eventlet.spawn(slow).wait()
    assert reports() == []


def test_development_mode_says_nothing_of_a_program_that_is_fine(
    run_isolated, loop_kind
):
    """``python -X dev`` warns of nothing: no task, loop or socket is left behind."""
    program = """
import asyncio, socket
import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, spawn_for_awaitable
from eventlet.green import socket as green

async def work(value):
    await asyncio.sleep(0)
    return value, await eventlet.spawn(len, "abc")

def body():
    left, right = green.socketpair()
    sender = eventlet.spawn(right.sendall, b"x")
    assert left.recv(1) == b"x"
    sender.wait()
    left.close()
    right.close()

for _ in range(2):
    eventlet.spawn(body).wait()
    assert await_(work(1)) == (1, 3)
    assert asyncio.run(work(2)) == (2, 3)
    assert eventlet.spawn(asyncio.run, work(3)).wait() == (3, 3)
    suspended = spawn_for_awaitable(asyncio.sleep(100))
    eventlet.sleep(0)
    hubs.use_hub()
green_thread = eventlet.spawn(eventlet.sleep, 100)
suspended = spawn_for_awaitable(asyncio.sleep(100))
eventlet.sleep(0)
print("end")
"""
    env = {
        "EVENTLET_HUB": "asyncio",
        "EVENTLET_ASYNCIO_LOOP": f"{loop_kind}:new_event_loop",
    }
    done = run_isolated(program, env, options=("-X", "dev", "-W", "error"))
    assert (done.stdout, done.stderr) == ("end\n", "")
