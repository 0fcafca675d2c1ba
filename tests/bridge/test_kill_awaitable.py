"""Killing a green thread that stands for an awaitable, and giving up to wait for it."""

from __future__ import annotations

import asyncio

import pytest

import eventlet
from eventlet.asyncio import await_, spawn_for_awaitable
from greenlet import GreenletExit


def test_kill_ends_at_once_and_the_coroutine_cleans_up_later(gate):
    """The coroutine has seen CancelledError when kill() returns; the rest takes time."""
    log = []

    async def work():
        try:
            await gate
        except asyncio.CancelledError:
            log.append("cancelled")
            await asyncio.sleep(0.01)
            log.append("cleaned up")
            raise

    green = spawn_for_awaitable(work())
    eventlet.sleep(0)
    green.link(lambda _: log.append("link"))
    green.kill()
    with pytest.raises(GreenletExit):
        green.wait()
    log.append("waited")
    while len(log) < 4:
        eventlet.sleep(0)
    assert log == ["link", "cancelled", "waited", "cleaned up"]


@pytest.mark.parametrize("depth", [0, 1, 5])
@pytest.mark.parametrize("killer", ["main", "green thread", "coroutine"])
def test_kill_returns_when_the_coroutine_has_seen_it(depth, killer):
    """However many tasks wait for each other in between, whoever kills."""
    log = []

    async def work(depth):
        try:
            if depth:
                await asyncio.create_task(work(depth - 1))
            else:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append(depth)
            raise

    def kill():
        green.kill(RuntimeError("mine"))
        log.append("killed")

    async def kills():
        kill()

    green = spawn_for_awaitable(work(depth))
    for _ in range(depth + 3):
        eventlet.sleep(0)
    if killer == "main":
        kill()
    elif killer == "coroutine":
        spawn_for_awaitable(kills()).wait()
    else:
        eventlet.spawn(kill).wait()
    assert log == [*range(depth + 1), "killed"]
    with pytest.raises(RuntimeError, match="mine"):
        green.wait()


def test_kill_does_not_wait_for_a_coroutine_that_takes_its_time():
    """Nor for a loop that does not come round to it."""
    stop = asyncio.Event()
    log = []

    async def slow():
        try:
            await asyncio.sleep(60)
        finally:
            await stop.wait()
            log.append("ended")

    async def work():
        await asyncio.create_task(slow())

    green = spawn_for_awaitable(work())
    for _ in range(4):
        eventlet.sleep(0)
    green.kill()
    assert green.dead
    assert log == []
    stop.set()
    while not log:
        eventlet.sleep(0)


def test_kill_in_a_callback_of_the_hub_does_not_wait(gate):
    log = []

    async def work():
        try:
            await gate
        finally:
            log.append("cancelled")

    def callback():
        green.kill()
        log.append("callback")

    green = spawn_for_awaitable(work())
    eventlet.sleep(0)
    eventlet.hubs.get_hub().schedule_call_global(0, callback)
    while len(log) < 2:
        eventlet.sleep(0)
    assert log == ["callback", "cancelled"]


@pytest.mark.parametrize(
    "args", [(ValueError,), (ValueError("x"),), (ValueError, ValueError("x"), None)]
)
def test_kill_with_an_exception_is_what_wait_raises(gate, args, capsys):
    async def work():
        await gate

    green = spawn_for_awaitable(work())
    eventlet.sleep(0)
    green.kill(*args)
    with pytest.raises(ValueError):
        green.wait()
    for _ in range(3):
        eventlet.sleep(0)
    assert capsys.readouterr().err == ""


def test_kill_before_the_start_closes_the_coroutine(recwarn):
    log = []

    async def work():
        log.append("ran")

    coro = work()
    green = spawn_for_awaitable(coro)
    green.kill()
    with pytest.raises(GreenletExit):
        green.wait()
    for _ in range(3):
        eventlet.sleep(0)
    assert log == []
    assert coro.cr_frame is None
    del coro
    assert [str(w.message) for w in recwarn] == []


def test_kill_cancels_the_future_or_task_it_stands_for():
    async def forever():
        await asyncio.get_running_loop().create_future()

    task = asyncio.ensure_future(forever())
    future = eventlet.hubs.get_hub().loop.create_future()
    for work in (task, future):
        green = spawn_for_awaitable(work)
        green.kill()
        with pytest.raises(GreenletExit):
            green.wait()
        for _ in range(3):
            eventlet.sleep(0)
        assert work.cancelled()


def test_kill_of_a_finished_one_has_no_effect():
    async def work():
        return 3

    green = spawn_for_awaitable(work())
    assert green.wait() == 3
    green.kill()
    assert green.wait() == 3


def test_coroutine_that_kills_its_own_green_thread_is_cancelled_at_its_next_await():
    log = []

    async def work():
        log.append(1)
        green.kill()
        log.append(2)
        await asyncio.sleep(60)
        log.append(3)

    green = spawn_for_awaitable(work())
    with pytest.raises(GreenletExit):
        green.wait()
    for _ in range(3):
        eventlet.sleep(0)
    assert log == [1, 2]


def test_task_cancelled_by_others_raises_cancelled_error_at_wait(capsys):
    async def forever():
        await asyncio.get_running_loop().create_future()

    task = asyncio.ensure_future(forever())
    green = spawn_for_awaitable(task)
    eventlet.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        green.wait()
    assert capsys.readouterr().err == ""


def test_cancelled_awaiter_of_a_task_goes_on_when_the_task_has_cleaned_up(gate):
    log = []

    async def inner():
        try:
            await gate
        finally:
            await asyncio.sleep(0)
            log.append("inner")

    async def outer(green):
        try:
            await green
        finally:
            log.append("outer")

    green = spawn_for_awaitable(inner())
    task = asyncio.ensure_future(outer(green))
    for _ in range(3):
        eventlet.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await_(task)
    assert log == ["inner", "outer"]
    with pytest.raises(GreenletExit):
        green.wait()


def test_eventlet_timeout_around_wait_leaves_the_work_running(gate):
    async def work():
        return await gate

    green = spawn_for_awaitable(work())
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        green.wait()
    assert not green.dead
    gate.open("went on")
    assert green.wait() == "went on"


def test_timeout_of_await_cancels_the_work():
    log = []

    async def work():
        try:
            await asyncio.sleep(60)
        finally:
            log.append("cancelled")

    with pytest.raises(asyncio.TimeoutError):
        await_(work(), timeout=0.01)
    assert log == ["cancelled"]


def test_kill_of_a_green_thread_in_await_cancels_the_work():
    log = []

    async def work():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    green = eventlet.spawn(await_, work())
    for _ in range(3):
        eventlet.sleep(0)
    green.kill()
    for _ in range(3):
        eventlet.sleep(0)
    assert log == ["cancelled"]


def test_cancel_leaves_alone_what_has_begun_and_ends_what_has_not(gate):
    async def work():
        return await gate

    begun = spawn_for_awaitable(work())
    eventlet.sleep(0)
    begun.cancel()
    assert not begun.dead
    gate.open(1)
    assert begun.wait() == 1


KILLS = {
    "before its start": lambda green: green.kill(),
    "with an exception before its start": lambda green: green.kill(ValueError("mine")),
    "while it runs": lambda green: (eventlet.sleep(0), green.kill()),
    "with an exception while it runs": lambda green: (
        eventlet.sleep(0),
        green.kill(ValueError("mine")),
    ),
}


@pytest.mark.parametrize("when", KILLS)
def test_links_of_a_killed_one_run_once_and_its_awaiter_is_told(when, gate, capsys):
    """The killer is unaffected."""
    log = []
    expected = ValueError if "exception" in when else GreenletExit

    async def work():
        await gate

    async def awaits(green):
        await green

    green = spawn_for_awaitable(work())
    green.link(lambda it, word: log.append((word, it is green, it.dead)), "before")
    task = asyncio.ensure_future(awaits(green))
    KILLS[when](green)
    green.link(lambda it, word: log.append((word, it is green, it.dead)), "after")
    with pytest.raises(expected):
        green.wait()
    told = asyncio.CancelledError if expected is GreenletExit else expected
    with pytest.raises(told):
        await_(task)
    for _ in range(5):
        eventlet.sleep(0)
    green.kill()
    assert log == [("before", True, True), ("after", True, True)]
    assert capsys.readouterr().err == ""


def test_links_run_once_however_the_coroutine_ends():
    log = []

    async def fails():
        raise ValueError("mine")

    async def leaves():
        raise GreenletExit

    async def cancels():
        raise asyncio.CancelledError

    greens = [spawn_for_awaitable(it()) for it in (fails, leaves, cancels)]
    for green in greens:
        green.link(log.append)
    for _ in range(5):
        eventlet.sleep(0)
    assert log == greens
    for green, kind in zip(
        greens, [ValueError, GreenletExit, asyncio.CancelledError], strict=True
    ):
        with pytest.raises(kind):
            green.wait()
    assert log == greens
