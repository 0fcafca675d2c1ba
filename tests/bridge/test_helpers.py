"""The other functions of eventlet.asyncio."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import doctest
import sys

import pytest

import eventlet
import eventlet.asyncio
from eventlet import hubs
from eventlet.asyncio import (
    async_to_sync,
    await_,
    context,
    future_to_greenlet,
    iterate,
    run,
    sync_to_async,
)
from eventlet.event import Event

variable = contextvars.ContextVar("variable", default="none")


async def double(value):
    await asyncio.sleep(0)
    return value * 2


# await_


def test_await_returns_the_result_or_raises():
    async def fails():
        raise ValueError("mine")

    assert await_(double(2)) == 4
    assert await_(double(2), timeout=30) == 4
    with pytest.raises(ValueError, match="mine"):
        await_(fails())


def test_await_shares_the_callers_context_variables():
    async def work():
        before = variable.get()
        variable.set("the coroutine's")
        return before

    def body(timeout):
        variable.set("the caller's")
        return await_(work(), timeout), variable.get()

    for timeout in (None, 30) if sys.version_info >= (3, 11) else (None,):
        expected = ("the caller's", "the coroutine's")
        assert eventlet.spawn(body, timeout).wait() == expected


def test_examples_of_the_documentation_run():
    result = doctest.testmod(eventlet.asyncio)
    assert result.attempted > 10
    assert result.failed == 0


def test_queues_locks_and_events_of_asyncio_serve_green_code():
    async def produce(queue, event):
        await event.wait()
        for number in range(3):
            await queue.put(number)

    queue, event, lock = asyncio.Queue(1), asyncio.Event(), asyncio.Lock()
    producer = eventlet.asyncio.spawn_for_awaitable(produce(queue, event))
    event.set()
    assert [await_(queue.get()) for _ in range(3)] == [0, 1, 2]
    producer.wait()
    with context(lock):
        waiter = eventlet.spawn(await_, lock.acquire())
        eventlet.sleep(0)
        assert not waiter.dead
    assert waiter.wait() is True


def test_await_refuses_what_cannot_be_awaited():
    with pytest.raises(TypeError, match="awaitable"):
        await_(3)


def test_await_in_a_task_of_asyncio_run_suspends_that_task():
    async def main():
        return await_(double(1))

    assert asyncio.run(main()) == 2


def test_await_in_a_green_coroutine_suspends_that_coroutine():
    async def main():
        return await_(double(1))

    assert run(main()) == 2


# run


def test_run_returns_the_result_while_green_threads_run_beside():
    log = []

    async def main():
        green = eventlet.spawn(log.append, "green")
        await green
        return await double(4)

    assert run(main()) == 8
    assert log == ["green"]


def test_run_cancels_the_coroutine_when_the_caller_is_interrupted():
    log = []

    async def main():
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            log.append("cleaned up")
            raise

    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        run(main())
    assert log == ["cleaned up"]


def test_run_refuses_other_awaitables():
    with pytest.raises(TypeError, match="coroutine"):
        run(hubs.get_hub().loop.create_future())


# Adapters


def test_sync_to_async_runs_each_call_in_a_green_thread():
    event = Event()

    @sync_to_async
    def blocks(value, *, key):
        variable.set(value)
        return event.wait(), key

    async def main():
        first, second = blocks("a", key=1), blocks("b", key=2)
        asyncio.get_running_loop().call_soon(event.send, "sent")
        results = await asyncio.gather(first, second)
        mine = await blocks("c", key=3)
        return [*results, mine], variable.get()

    expected = [("sent", 1), ("sent", 2), ("sent", 3)]
    assert run(main()) == (expected, "c")
    assert blocks.__name__ == "blocks"


def test_async_to_sync_is_called_from_green_code():
    assert async_to_sync(double)(21) == 42


def test_future_to_greenlet_gives_a_green_thread():
    future = hubs.get_hub().loop.create_future()
    green = future_to_greenlet(future)
    future.set_result("value")
    assert green.wait() == "value"


# iterate


async def count(log, limit=3):
    try:
        for i in range(limit):
            await asyncio.sleep(0)
            log.append(asyncio.current_task())
            yield i
    finally:
        await asyncio.sleep(0)
        log.append("closed")


def test_iterate_runs_all_steps_in_one_task():
    log = []
    assert list(iterate(count(log))) == [0, 1, 2]
    assert len(set(log[:-1])) == 1
    assert log[-1] == "closed"


def test_iterate_closes_the_generator_when_left_early():
    log = []
    steps = iterate(count(log))
    assert next(steps) == 0
    steps.close()
    assert log[-1] == "closed"


def test_iterate_raises_what_a_step_raises():
    async def fails():
        yield 1
        raise ValueError("step")

    steps = iterate(fails())
    assert next(steps) == 1
    with pytest.raises(ValueError, match="step"):
        next(steps)


# context


def test_context_enters_and_leaves_in_one_task():
    log = []

    @contextlib.asynccontextmanager
    async def manager():
        log.append(asyncio.current_task())
        yield "value"
        await asyncio.sleep(0)
        log.append(asyncio.current_task())

    with context(manager()) as value:
        eventlet.sleep(0)
        assert value == "value"
    assert log[0] is log[1] is not None


def test_context_lets_the_manager_decide_about_an_exception():
    seen = []

    @contextlib.asynccontextmanager
    async def manager(swallow):
        try:
            yield
        except ValueError as error:
            seen.append(error)
            if not swallow:
                raise

    with context(manager(swallow=True)):
        raise ValueError("one")
    with pytest.raises(ValueError, match="two"), context(manager(swallow=False)):
        raise ValueError("two")
    assert [str(e) for e in seen] == ["one", "two"]


def test_context_raises_what_entering_raises():
    @contextlib.asynccontextmanager
    async def manager():
        raise ValueError("closed today")
        yield

    with pytest.raises(ValueError, match="closed today"), context(manager()):
        pass


@pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11")
def test_context_of_asyncio_timeout_interrupts_the_body():
    with pytest.raises(TimeoutError), context(lambda: asyncio.timeout(0.01)):
        eventlet.sleep(60)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11")
def test_context_of_a_task_group_waits_for_its_tasks():
    with context(asyncio.TaskGroup()) as group:
        task = group.create_task(double(2))
    assert task.result() == 4


@pytest.mark.skipif(sys.version_info < (3, 11), reason="new in Python 3.11")
def test_context_of_a_task_group_interrupts_the_body_when_a_task_fails():
    async def fails():
        raise ValueError("task")

    with (
        pytest.raises(ExceptionGroup) as caught,  # noqa: F821 - of Python 3.11
        context(asyncio.TaskGroup()) as group,
    ):
        group.create_task(fails())
        eventlet.sleep(60)
    assert [str(e) for e in caught.value.exceptions] == ["task"]
