"""Promises of `eventlet.debug`."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time

import pytest

import eventlet
from eventlet import debug, hubs
from eventlet.asyncio import spawn_for_awaitable


@pytest.fixture(autouse=True)
def defaults():
    """Put every switch back as it was."""
    yield
    debug.hub_exceptions(True)
    debug.tpool_exceptions(False)
    debug.hub_listener_stacks(False)
    debug.hub_timer_stacks(False)
    debug.hub_blocking_detection(False)
    debug.unspew()


def test_spew_prints_lines_with_values(capsys):
    value = 41
    spew = debug.Spew()
    spew(sys._getframe(), "line", value)
    line = sys._getframe().f_lineno - 1
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith(f"{__name__}:{line}: ")
    assert "value=41" in second


def test_spew_prints_only_the_modules_asked_for(capsys):
    spew = debug.Spew(trace_names=["somewhere.else"])
    spew(sys._getframe(), "line", None)
    assert capsys.readouterr().out == ""


def test_spew_survives_an_object_without_a_working_repr(capsys):
    class Broken:
        def __repr__(self):
            raise RuntimeError

    broken = Broken()
    debug.Spew()(sys._getframe(), "line", broken)
    assert "broken=<Broken: no repr, RuntimeError>" in capsys.readouterr().out


def test_spew_traces_calls_until_unspew(capsys):
    def traced():
        return "line of traced"

    debug.spew([__name__])
    traced()
    debug.unspew()
    traced()
    assert capsys.readouterr().out.count("line of traced") == 1
    assert sys.gettrace() is None


def test_hub_exceptions_are_printed_unless_switched_off(capsys):
    printed = []
    for state in (True, False):
        debug.hub_exceptions(state)
        thread = eventlet.spawn(lambda: 1 / 0)
        eventlet.sleep(0)
        with pytest.raises(ZeroDivisionError):
            thread.wait()
        printed.append("ZeroDivisionError" in capsys.readouterr().err)
    assert printed == [True, False]


def test_pending_timers_are_described():
    def unmistakable():
        pass

    timer = hubs.get_hub().schedule_call_global(60, unmistakable)
    described = debug.format_hub_timers()
    timer.cancel()
    assert described.startswith("TIMERS:")
    assert "unmistakable" in described


def test_timers_tell_where_they_were_made_on_request():
    described = []
    for state in (True, False):
        debug.hub_timer_stacks(state)
        timer = hubs.get_hub().schedule_call_global(60, print)
        described.append(debug.format_hub_timers())
        timer.cancel()
    here = "test_timers_tell_where_they_were_made_on_request"
    assert [here in text for text in described] == [True, False]


def test_every_kind_of_timer_tells_where_it_was_made():
    """Also those that the engine makes by itself: delayed starts, sleeps and timeouts."""

    def starts_later():
        return eventlet.spawn_after(60, print)

    def sleeps():
        eventlet.sleep(60)

    def sets_limit():
        return eventlet.Timeout(60)

    debug.hub_timer_stacks(True)
    try:
        later, sleeping, limit = starts_later(), eventlet.spawn(sleeps), sets_limit()
        eventlet.sleep(0)
        described = debug.format_hub_timers()
        # Those of timers that are gone are forgotten.
        for _ in range(500):
            eventlet.Timeout(60).cancel()
        again = debug.format_hub_timers()
    finally:
        debug.hub_timer_stacks(False)
        limit.cancel()
        later.cancel()
        sleeping.kill()
    for name in ("starts_later", "sleeps", "sets_limit"):
        assert f"in {name}\n" in described.replace("\r", ""), described
    assert again == described


def test_waits_for_descriptors_are_described():
    receiver, sender = os.pipe()
    waiting = eventlet.spawn(hubs.trampoline, receiver, read=True)
    eventlet.sleep(0)
    described = debug.format_hub_listeners().splitlines()
    waiting.kill()
    os.close(receiver)
    os.close(sender)
    assert described[0] == "READERS:"
    assert described.index("WRITERS:") == 2
    assert str(receiver) in described[1]


def test_waits_tell_where_they_began_on_request(pipe):
    def unmistakable():
        hubs.trampoline(pipe[0], read=True)

    described = []
    for state in (True, False):
        debug.hub_listener_stacks(state)
        waiting = eventlet.spawn(unmistakable)
        eventlet.sleep(0)
        described.append(debug.format_hub_listeners())
        waiting.kill()
    assert ["unmistakable" in text for text in described] == [True, False]


def test_threads_are_described_with_their_stacks():
    described = debug.format_threads_info()
    assert described.startswith("THREADS:")
    assert "MainThread" in described
    assert "test_threads_are_described_with_their_stacks" in described


def test_asyncio_tasks_are_described():
    async def unmistakable():
        await asyncio.sleep(60)

    thread = spawn_for_awaitable(unmistakable())
    eventlet.sleep(0.01)
    described = debug.format_asyncio_info()
    thread.kill()
    assert "EVENTLOOP" in described
    assert "unmistakable" in described


def test_blocking_detection_raises_where_the_hub_is_kept_waiting():
    debug.hub_blocking_detection(True, resolution=0.05)
    debug.hub_exceptions(False)
    with pytest.raises(RuntimeError, match=place_of(hog)):
        eventlet.spawn(hog).wait()


def hog():
    end = time.monotonic() + 10
    while time.monotonic() < end:
        pass


def place_of(function):
    """Return what a message says of a line of `function`: its file and one of its lines."""
    code = function.__code__
    last = max(line for _, _, line in code.co_lines() if line is not None)
    lines = "|".join(map(str, range(code.co_firstlineno, last + 1)))
    return rf"{re.escape(code.co_filename)}:({lines}) in {code.co_name}$"


async def in_coroutine():
    hog()


async def nested():
    await asyncio.sleep(0)
    await in_coroutine()


async def in_task():
    await asyncio.create_task(nested())


async def in_green_call():
    eventlet.sleep(0)
    hog()


@pytest.mark.parametrize("work", [in_coroutine, nested, in_task, in_green_call])
def test_blocking_detection_names_file_and_line_in_coroutines(work, capsys):
    """The coroutine gets the error, and the stack that is printed shows it."""
    debug.hub_blocking_detection(True, resolution=0.05)
    with pytest.raises(RuntimeError, match=place_of(hog)):
        spawn_for_awaitable(work()).wait()
    printed = capsys.readouterr().err
    assert ", in hog" in printed
    assert ", in in_coroutine" in printed or ", in in_green_call" in printed


def test_blocking_detection_names_a_callback_of_the_loop(capsys):
    """Nobody waits for it: asyncio reports what it raised."""
    loop, reported = hubs.get_hub().loop, []
    loop.set_exception_handler(lambda _loop, context: reported.append(context))
    debug.hub_blocking_detection(True, resolution=0.05)
    loop.call_soon(hog)
    try:
        with eventlet.Timeout(20):
            while not reported:
                eventlet.sleep(0.01)
    finally:
        loop.set_exception_handler(None)
    assert re.search(place_of(hog), str(reported[0]["exception"]))
    assert ", in hog" in capsys.readouterr().err


def test_blocking_detection_leaves_coroutines_alone_that_await():
    debug.hub_blocking_detection(True, resolution=0.5)

    async def polite():
        end = time.monotonic() + 0.8
        while time.monotonic() < end:  # noqa: ASYNC110 - it keeps the loop busy
            await asyncio.sleep(0)
        await asyncio.sleep(0.8)
        return "done"

    assert spawn_for_awaitable(polite()).wait() == "done"


def test_blocking_detection_leaves_those_alone_that_switch():
    """Real time, so with a margin: half a second without a turn is not this machine's doing."""
    debug.hub_blocking_detection(True, resolution=0.5)
    start, turns = time.monotonic(), 0
    while time.monotonic() < start + 0.8:
        eventlet.sleep(0)
        turns += 1
    assert eventlet.sleep(0.8) is None
    assert turns > 1


def test_blocking_detection_gives_the_alarm_back():
    former = signal.getsignal(signal.SIGALRM)
    debug.hub_blocking_detection(True)
    assert signal.getsignal(signal.SIGALRM) != former
    debug.hub_blocking_detection(False)
    assert signal.getsignal(signal.SIGALRM) == former
    assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
