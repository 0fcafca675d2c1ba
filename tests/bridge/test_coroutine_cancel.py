"""Cancellations and timeouts of tasks that are suspended in green calls."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import sys
import time
import traceback

import pytest

import eventlet
import eventlet.asyncio
import greenlet
from eventlet.asyncio import spawn_for_awaitable
from eventlet.semaphore import Semaphore

run = eventlet.asyncio.run

NEW = sys.version_info >= (3, 12)
variable = contextvars.ContextVar("variable", default="unset")


def cancelling():
    """Return how many cancellations the running task counts; 0 where none are counted."""
    return getattr(asyncio.current_task(), "cancelling", lambda: 0)()


# Cancellation and timeouts


def test_cancelling_a_blocked_task_raises_cancelled_error_at_the_green_call():
    log = []
    semaphore = Semaphore(0)

    async def blocked():
        try:
            semaphore.acquire()
        except asyncio.CancelledError as error:
            log.append(traceback.extract_tb(error.__traceback__)[-1].line)
            eventlet.sleep(0.001)
            log.append("cleaned up")
            raise

    async def main():
        task = asyncio.create_task(blocked())
        await asyncio.sleep(0)
        task.cancel("why")
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert run(main())
    assert log == ["semaphore.acquire()", "cleaned up"]
    # Nobody waits any more.
    semaphore.release()
    assert semaphore.acquire(blocking=False)


def test_unit_granted_to_a_task_that_is_cancelled_goes_to_the_next():
    log = []

    async def blocked(semaphore, name):
        semaphore.acquire()
        log.append(name)

    async def main():
        semaphore = Semaphore(0)
        tasks = [asyncio.create_task(blocked(semaphore, name)) for name in "ab"]
        await asyncio.sleep(0)
        semaphore.release()
        tasks[0].cancel()
        await asyncio.wait(tasks, timeout=30)
        return [task.cancelled() for task in tasks]

    assert run(main()) == [True, False]
    assert log == ["b"]


def test_cancelled_task_may_go_on():
    async def stubborn():
        try:
            eventlet.sleep(60)
        except asyncio.CancelledError:
            eventlet.sleep(0.001)
            return "went on"

    async def main():
        task = asyncio.create_task(stubborn())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert run(main()) == "went on"


def test_kill_of_a_blocked_coroutine_ends_it():
    log = []

    async def blocked():
        try:
            eventlet.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    green = spawn_for_awaitable(blocked())
    eventlet.sleep(0.001)
    green.kill()
    with pytest.raises(greenlet.GreenletExit):
        green.wait()
    eventlet.sleep(0.001)
    assert log == ["cancelled"]


def test_asyncio_timeouts_end_green_calls():
    async def main():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(sleeper(), 0.001)
        if sys.version_info >= (3, 11):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.001):  # noqa: ASYNC100 - sleep() is one
                    eventlet.sleep(60)
            assert cancelling() == 0
        return True

    async def sleeper():
        eventlet.sleep(60)

    assert run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="task groups are new in 3.11")
def test_failing_task_of_a_group_ends_green_calls_of_the_others():
    log = []

    async def fails():
        eventlet.sleep(0.001)
        raise ValueError

    async def sleeper():
        try:
            eventlet.sleep(60)
        except asyncio.CancelledError:
            log.append("cancelled")
            raise

    async def main():
        with pytest.raises(BaseException) as caught:
            async with asyncio.TaskGroup() as group:
                group.create_task(sleeper())
                group.create_task(fails())
        return caught.value

    error = run(main())
    assert [type(e) for e in error.exceptions] == [ValueError]
    assert log == ["cancelled"]


@pytest.mark.parametrize("where", ["green call", "await", "green thread"])
def test_timeout_fires_in_its_own_coroutine_and_leaves_no_cancellation(where):
    async def wait():
        if where == "green call":
            eventlet.sleep(60)
        elif where == "await":
            await asyncio.sleep(60)
        else:
            await eventlet.spawn(eventlet.sleep, 60)

    async def timed():
        with (
            pytest.raises(eventlet.Timeout) as caught,
            eventlet.Timeout(0.001) as timeout,
        ):
            await wait()
        assert caught.value is timeout
        assert cancelling() == 0
        await asyncio.sleep(0)
        eventlet.sleep(0)
        return "timed out"

    async def other():
        eventlet.sleep(0.01)
        await asyncio.sleep(0.01)
        return "undisturbed"

    async def main():
        task = asyncio.create_task(timed())
        results = await asyncio.gather(task, other())
        assert not task.cancelled()
        return results

    assert run(main()) == ["timed out", "undisturbed"]


def test_silent_timeout_ends_its_block():
    async def main():
        with eventlet.Timeout(0.001, False):
            await asyncio.sleep(60)
        with eventlet.Timeout(0.001, False):
            eventlet.sleep(60)
        return "went on"

    assert run(main()) == "went on"


def test_two_timeouts_of_one_coroutine_are_raised_one_after_the_other():
    async def main():
        caught = []
        first = eventlet.Timeout(0.001)
        second = eventlet.Timeout(0.001)
        time.sleep(0.01)  # noqa: ASYNC251 - both fire in one turn
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except eventlet.Timeout as error:
                caught.append(error)
        return caught == [first, second], cancelling()

    assert run(main()) == (True, 0)


def test_cancellation_just_before_a_timeout_fires_comes_first():
    class Late(Exception):
        def __init__(self):
            task.cancel()

    async def timed():
        with eventlet.Timeout(0.001, Late):
            await asyncio.sleep(60)

    async def main():
        nonlocal task
        task = asyncio.create_task(timed())
        with pytest.raises(asyncio.CancelledError):
            await task
        assert task.cancelled()
        return True

    task = None
    assert run(main())


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 does not count them")
def test_cancellation_just_after_a_timeout_has_fired_comes_first():
    async def timed():
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: task.cancel())
        with eventlet.Timeout(0.001):
            await future

    async def main():
        nonlocal task
        task = asyncio.create_task(timed())
        with pytest.raises(asyncio.CancelledError):
            await task
        return task.cancelling()

    task = None
    assert run(main()) == 1


def test_timeout_fires_although_an_earlier_cancellation_was_swallowed():
    async def timed():
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        with eventlet.Timeout(0.001, False):
            await asyncio.sleep(60)
        return cancelling()

    async def main():
        task = asyncio.create_task(timed())
        await asyncio.sleep(0)
        task.cancel()
        return await task

    assert run(main()) == (1 if sys.version_info >= (3, 11) else 0)
