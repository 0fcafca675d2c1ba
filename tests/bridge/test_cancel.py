"""What becomes of green threads and their awaiters when one of these is cancelled."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

import eventlet
from eventlet.asyncio import greenlet_to_future, spawn_for_awaitable
from eventlet.event import Event
from greenlet import GreenletExit


def run(coro):
    return spawn_for_awaitable(coro).wait()


async def cancelled(task):
    """Return whether the task ends by a CancelledError."""
    try:
        await task
    except asyncio.CancelledError:
        return True
    return False


def test_unstarted_green_thread_never_runs_when_its_awaiter_is_cancelled():
    log = []

    async def main():
        green = eventlet.spawn(log.append, "ran")
        green.link(lambda _: log.append("link"))
        task = asyncio.ensure_future(greenlet_to_future(green))
        task.cancel()
        result = await cancelled(task)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        with pytest.raises(GreenletExit):
            green.wait()
        return result

    assert run(main())
    assert log == ["link"]


def test_pending_spawn_after_is_withdrawn_when_its_awaiter_is_cancelled():
    log = []

    async def main():
        green = eventlet.spawn_after(60, log.append, "ran")

        async def waits():
            await green

        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0)
        task.cancel()
        return await cancelled(task)

    before = eventlet.hubs.get_hub().get_timers_count()
    assert run(main())
    hub = eventlet.hubs.get_hub()
    assert hub.get_timers_count() - hub.timers_canceled <= before
    assert log == []


def test_awaiter_goes_on_when_the_green_thread_has_cleaned_up():
    log = []

    async def main():
        release = Event()

        def body():
            try:
                Event().wait()
            except GreenletExit:
                log.append("told")
                release.wait()
                log.append("cleaned up")
                raise

        green = eventlet.spawn(body)

        async def waits():
            await green

        task = asyncio.ensure_future(waits())
        await eventlet.spawn(eventlet.sleep, 0)
        task.cancel("reason")
        log.append("asked")
        while "told" not in log:  # noqa: ASYNC110 - a green thread tells
            await asyncio.sleep(0)
        assert not task.done()
        release.send(None)
        log.append(("cancelled", await cancelled(task)))
        return green

    green = run(main())
    assert log == ["asked", "told", "cleaned up", ("cancelled", True)]
    with pytest.raises(GreenletExit):
        green.wait()


def test_message_of_a_cancellation_reaches_the_awaiter():
    async def main():
        future = greenlet_to_future(eventlet.spawn(eventlet.sleep, 60))
        await eventlet.spawn(eventlet.sleep, 0)
        future.cancel("why")
        try:
            await future
        except asyncio.CancelledError as error:
            return error.args

    assert run(main()) == ("why",)


def test_green_thread_that_swallows_the_kill_gives_its_value_to_the_awaiter():
    async def main():
        def body():
            try:
                Event().wait()
            except GreenletExit:
                return 5

        green = eventlet.spawn(body)

        async def waits():
            return await green

        task = asyncio.ensure_future(waits())
        await eventlet.spawn(eventlet.sleep, 0)
        task.cancel()
        return await task

    assert run(main()) == 5


def test_green_thread_that_fails_while_it_is_killed_gives_its_error_to_the_awaiter():
    async def main():
        def body():
            try:
                Event().wait()
            finally:
                raise ValueError("cleaning up")

        green = eventlet.spawn(body)
        future = greenlet_to_future(green)
        await eventlet.spawn(eventlet.sleep, 0)
        future.cancel()
        with pytest.raises(ValueError, match="cleaning up"):
            await future
        return True

    assert run(main())


def test_green_thread_that_ends_in_the_same_turn_keeps_its_result():
    async def main():
        def body():
            task.cancel()
            return 7

        green = eventlet.spawn(body)

        async def waits():
            await green

        task = asyncio.ensure_future(waits())
        assert await cancelled(task)
        return green

    assert run(main()).wait() == 7


def test_green_thread_that_cancels_its_awaiter_is_killed_at_its_next_wait():
    log = []

    async def main():
        def body():
            started.wait()
            log.append(1)
            task.cancel()
            eventlet.sleep(60)
            log.append(2)

        started = Event()
        green = eventlet.spawn(body)

        async def waits():
            started.send(None)
            await green

        task = asyncio.ensure_future(waits())
        assert await cancelled(task)
        return green

    green = run(main())
    with pytest.raises(GreenletExit):
        green.wait()
    assert log == [1]


def test_cancelling_one_of_two_awaiters_kills_for_both():
    async def main():
        green = eventlet.spawn(eventlet.sleep, 60)

        async def waits():
            await green

        first, second = (asyncio.ensure_future(waits()) for _ in range(2))
        await eventlet.spawn(eventlet.sleep, 0)
        first.cancel()
        return await cancelled(first), await cancelled(second), green.dead

    assert run(main()) == (True, True, True)


def test_two_cancellations_in_one_turn_raise_once():
    log = []

    async def main():
        def body():
            try:
                Event().wait()
            except GreenletExit:
                log.append("told")
                eventlet.sleep(0)
                eventlet.sleep(0)
                log.append("cleaned up")

        green = eventlet.spawn(body)

        async def waits():
            return await green

        tasks = [asyncio.ensure_future(waits()) for _ in range(2)]
        await eventlet.spawn(eventlet.sleep, 0)
        for task in tasks:
            task.cancel()
        return [await task for task in tasks]

    assert run(main()) == [None, None]
    assert log == ["told", "cleaned up"]


@pytest.mark.parametrize("as_future", [False, True])
def test_shield_protects_the_green_thread(as_future):
    async def main():
        event = Event()
        green = eventlet.spawn(event.wait)

        async def waits():
            await asyncio.shield(greenlet_to_future(green) if as_future else green)

        task = asyncio.ensure_future(waits())
        await eventlet.spawn(eventlet.sleep, 0)
        task.cancel()
        assert await cancelled(task)
        assert not green.dead
        event.send("went on")
        return await green

    assert run(main()) == "went on"


def test_wait_for_kills_and_raises_timeout_error_after_the_cleanup():
    log = []

    async def main():
        def body():
            try:
                eventlet.sleep(60)
            finally:
                eventlet.sleep(0)
                log.append("cleaned up")

        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(eventlet.spawn(body), 0.01)
        log.append("timeout")

    run(main())
    assert log == ["cleaned up", "timeout"]


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="timeout() is new in Python 3.11"
)
def test_asyncio_timeout_kills_the_green_thread():
    async def main():
        green = eventlet.spawn(eventlet.sleep, 60)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await green
        return green.dead

    assert run(main())


def test_cancelling_across_os_threads_kills_in_the_green_threads_own():
    seen = []

    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(green, 0.01)
        seen.append("awaiter")

    def body():
        try:
            eventlet.sleep(60)
        finally:
            seen.append(threading.get_ident())

    green = eventlet.spawn(body)
    eventlet.sleep(0)
    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    with pytest.raises(GreenletExit):
        green.wait()
    thread.join(30)
    assert seen == [threading.get_ident(), "awaiter"]


# Where asyncio cancels its own wrapper of an awaitable before that has begun.


@pytest.mark.parametrize("started", [False, True])
def test_wait_for_without_time_kills_the_green_thread_of_a_future(started):
    log = []

    def body():
        log.append("ran")
        eventlet.sleep(60)

    async def main():
        green = eventlet.spawn(body)
        if started:
            await eventlet.spawn(eventlet.sleep, 0)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(greenlet_to_future(green), 0)
        return green

    green = run(main())
    assert green.dead
    with pytest.raises(GreenletExit):
        green.wait()
    assert log == (["ran"] if started else [])


def test_wait_for_without_time_takes_the_value_that_is_there():
    async def main():
        green = eventlet.spawn(lambda: 3)
        await green
        return await asyncio.wait_for(greenlet_to_future(green), 0)

    assert run(main()) == 3


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="timeout() is new in Python 3.11"
)
@pytest.mark.parametrize("started", [False, True])
def test_asyncio_timeout_without_time_kills_the_green_thread(started):
    async def main():
        green = eventlet.spawn(eventlet.sleep, 60)
        if started:
            await eventlet.spawn(eventlet.sleep, 0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await green
        return green

    green = run(main())
    assert green.dead
    with pytest.raises(GreenletExit):
        green.wait()


def test_cancelled_wrapper_that_never_began_leaves_the_green_thread_to_itself():
    """As asyncio does with every awaitable that is neither a future nor a coroutine."""
    log = []

    async def main():
        event = Event()
        green = eventlet.spawn(event.wait)
        green.link(lambda green: log.append(green.wait()))
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(green, 0)
        task = asyncio.ensure_future(green)
        task.cancel()
        assert await cancelled(task)
        assert not green.dead
        event.send("went on")
        return await green

    assert run(main()) == "went on"
    assert log == ["went on"]
