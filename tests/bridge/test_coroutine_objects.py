"""What asyncio and inspection see of coroutines in which green calls may block."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import sys
import threading
import traceback
import types
from collections.abc import Coroutine

import pytest

import eventlet
import eventlet.asyncio
from eventlet import greenthread, hubs
from eventlet.asyncio import await_, spawn_for_awaitable

run = eventlet.asyncio.run

NEW = sys.version_info >= (3, 12)
variable = contextvars.ContextVar("variable", default="unset")


def cancelling():
    """Return how many cancellations the running task counts; 0 where none are counted."""
    return getattr(asyncio.current_task(), "cancelling", lambda: 0)()


# The wrapper


def test_task_shows_the_coroutine_that_it_runs():
    async def work():
        await asyncio.sleep(0)
        frames = asyncio.current_task().get_stack()
        await gate_
        return frames

    async def main():
        nonlocal gate_
        gate_ = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(work())
        for _ in range(3):
            await asyncio.sleep(0)
        coro = task.get_coro()
        assert type(coro) is types.CoroutineType
        assert inspect.getcoroutinestate(coro) == inspect.CORO_SUSPENDED
        assert coro.__name__ == "work"
        assert coro.__qualname__.endswith("locals>.work")
        assert coro.cr_code.co_name == "work"
        assert coro.cr_frame.f_code.co_name == "work"
        assert not coro.cr_running
        assert coro.cr_await is not None
        assert " coro=<" in repr(task)
        assert ".work() running at " in repr(task)
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["work"]
        gate_.set_result(None)
        return [frame.f_code.co_name for frame in await task]

    gate_ = None
    assert run(main()) == ["work"]


def test_blocked_task_shows_what_it_waits_for():
    async def work():
        eventlet.sleep(60)

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        coro = task.get_coro()
        assert asyncio.isfuture(coro.cr_await)
        assert not coro.cr_running
        assert inspect.getcoroutinestate(coro) == inspect.CORO_SUSPENDED
        assert [frame.f_code.co_name for frame in task.get_stack()] == ["work"]
        assert "wait_for=" in repr(task)
        task.cancel()

    run(main())


def test_traceback_of_a_green_coroutine_shows_its_own_frames_alone():
    async def inner():
        eventlet.sleep(0.001)
        raise ValueError("mine")

    async def outer():
        await inner()

    with pytest.raises(ValueError, match="mine") as caught:
        spawn_for_awaitable(outer()).wait()
    names = [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert names[-2:] == ["outer", "inner"]


class Delegate(Coroutine):
    """A coroutine that is not of CPython's own class, as compiled ones are not."""

    def __init__(self, inner):
        self.inner = inner

    def __await__(self):
        return self.inner.__await__()

    def send(self, value):
        """Take a step."""
        return self.inner.send(value)

    def throw(self, *args):
        """Take a step with an exception."""
        return self.inner.throw(*args)

    def close(self):
        """End the coroutine."""
        return self.inner.close()


def test_wrapper_behaves_as_a_coroutine_that_is_stepped_by_hand():
    @types.coroutine
    def ask():
        return (yield "question")

    async def work():
        try:
            return await ask(), await ask()
        except ValueError as error:
            return error

    made = []

    def factory(event_loop, coro, **options):
        made.append(coro)
        return asyncio.Task(nothing(), loop=event_loop, **options)

    async def nothing():
        pass

    event_loop = hubs.get_hub().loop
    event_loop.set_task_factory(factory)
    tasks = [event_loop.create_task(Delegate(work())) for _ in range(4)]
    event_loop.set_task_factory(None)
    for task in tasks:
        await_(task)
    first, second, third, fourth = made
    assert first.send(None) == "question"
    assert first.send(1) == "question"
    with pytest.raises(StopIteration) as stop:
        first.send((2, 3))
    assert stop.value.value == (1, (2, 3))
    with pytest.raises(RuntimeError, match="already awaited"):
        first.send(None)
    assert next(second) == "question"
    error = ValueError()
    with pytest.raises(StopIteration) as stop:
        second.throw(error)
    assert stop.value.value is error
    assert third.send(None) == "question"
    third.close()
    with pytest.raises(RuntimeError, match="already awaited"):
        third.send(None)

    async def outer():
        return await fourth

    stepped = outer()
    assert stepped.send(None) == "question"
    assert stepped.send(5) == "question"
    with pytest.raises(StopIteration) as stop:
        stepped.send(6)
    assert stop.value.value == (5, 6)


def test_tasks_of_a_user_set_factory_may_block():
    log = []

    def factory(event_loop, coro, **options):
        async def around():
            log.append("begin")
            result = await coro
            log.append("end")
            return result

        return asyncio.Task(around(), loop=event_loop, **options)

    async def work():
        eventlet.sleep(0.001)
        return "result"

    event_loop = hubs.get_hub().loop
    assert event_loop.get_task_factory() is None
    event_loop.set_task_factory(factory)
    assert event_loop.get_task_factory() is factory
    assert await_(asyncio.create_task(work())) == "result"
    assert log == ["begin", "end"]


@pytest.mark.skipif(not NEW, reason="eager tasks are new in 3.12")
def test_eager_tasks_may_block(loop_kind):
    if loop_kind == "uvloop":
        pytest.skip("uvloop calls the standard eager factory with an unknown argument")
    log = []

    async def child(name, pause):
        log.append(f"{name} begins")
        task = asyncio.current_task()
        if pause is not None:
            eventlet.sleep(pause)
        assert asyncio.current_task() is task
        log.append(f"{name} ends")
        return greenthread.getcurrent()

    async def main():
        me, task = greenthread.getcurrent(), asyncio.current_task()
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        at_once = asyncio.create_task(child("a", None))
        assert at_once.done()
        blocked = asyncio.create_task(child("b", 0.001))
        assert not blocked.done()
        assert asyncio.current_task() is task
        assert greenthread.getcurrent() is me
        log.append("main")
        return {await at_once, await blocked, me}

    assert len(run(main())) == 3
    assert log == ["a begins", "a ends", "b begins", "main", "b ends"]


def test_asynchronous_generators_and_managers_may_block():
    class Manager:
        async def __aenter__(self):
            eventlet.sleep(0.001)
            return "entered"

        async def __aexit__(self, *_info):
            eventlet.sleep(0.001)

    async def values():
        for number in range(3):
            eventlet.sleep(0.001)
            yield number

    async def main():
        async with Manager() as entered:
            return entered, [number async for number in values()]

    assert run(main()) == ("entered", [0, 1, 2])


def test_executor_calls_and_green_calls_mix():
    async def main():
        number = await asyncio.to_thread(threading.get_ident)
        eventlet.sleep(0.001)
        assert number != await asyncio.get_running_loop().run_in_executor(
            None, lambda: threading.main_thread().ident
        )
        return True

    assert run(main())
