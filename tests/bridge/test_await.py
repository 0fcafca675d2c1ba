"""Coroutines that await green threads."""

from __future__ import annotations

import asyncio
import contextvars
import sys
import threading

import pytest

import eventlet
from eventlet.asyncio import greenlet_to_future, spawn_for_awaitable
from eventlet.event import Event
from greenlet import GreenletExit


def run(coro):
    return spawn_for_awaitable(coro).wait()


def test_value_of_a_green_thread_is_the_value_of_await(settle):
    def body():
        eventlet.sleep(0)
        return 23

    async def main():
        return await eventlet.spawn(body)

    assert run(main()) == 23


def test_finished_green_thread_is_awaited_without_a_turn_of_the_loop(settle):
    green = eventlet.spawn(lambda: 5)
    green.wait()
    log = []

    async def main():
        asyncio.get_running_loop().call_soon(log.append, "turn")
        value = await green
        log.append("awaited")
        return value

    assert run(main()) == 5
    assert log[0] == "awaited"


def test_exception_of_a_green_thread_is_raised_as_the_same_object(capsys):
    error = ValueError("mine")

    def body():
        raise error

    async def main():
        with pytest.raises(ValueError) as caught:
            await eventlet.spawn(body)
        return caught.value

    assert run(main()) is error
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "kind", [asyncio.CancelledError, eventlet.Timeout, BaseException]
)
def test_exceptions_beside_exception_reach_the_awaiter_as_they_are(kind):
    error = kind()

    def body():
        raise error

    async def main():
        try:
            await eventlet.spawn(body)
        except BaseException as caught:
            return caught
        return None

    assert run(main()) is error


def test_stop_iteration_becomes_a_runtime_error_with_that_cause():
    error = StopIteration(3)

    def body():
        raise error

    async def main():
        with pytest.raises(RuntimeError) as caught:
            await eventlet.spawn(body)
        return caught.value

    assert run(main()).__cause__ is error


@pytest.mark.parametrize(
    "value", [None, (1, 2), ValueError("a value"), StopIteration(1)]
)
def test_any_value_is_returned_unchanged(value):
    async def main():
        green = eventlet.spawn(lambda: value)
        first = await green
        return first, await green, (await asyncio.gather(green))[0]

    assert run(main()) == (value, value, value)


def test_killed_green_thread_is_a_cancellation_for_its_awaiter():
    async def main():
        green = eventlet.spawn(eventlet.sleep, 60)
        eventlet.spawn(green.kill)
        with pytest.raises(asyncio.CancelledError):
            await green
        return green.dead

    assert run(main())


def test_green_thread_that_is_killed_before_it_starts_is_a_cancellation_for_its_awaiter():
    log = []

    async def main():
        green = eventlet.spawn_after(60, log.append, "ran")
        green.link(lambda _: log.append("link"))

        async def waits():
            await green

        task = asyncio.ensure_future(waits())
        await asyncio.sleep(0)
        green.kill()
        with pytest.raises(asyncio.CancelledError):
            await task
        return green

    green = run(main())
    with pytest.raises(GreenletExit):
        green.wait()
    assert log == ["link"]


def test_green_thread_that_kills_itself_is_a_cancellation_for_its_awaiter():
    def body():
        eventlet.sleep(0)
        eventlet.getcurrent().kill()

    async def main():
        with pytest.raises(asyncio.CancelledError):
            await eventlet.spawn(body)
        return True

    assert run(main())


def test_links_run_before_awaiters_resume():
    log = []

    async def main():
        green = eventlet.spawn(lambda: 1)
        green.link(lambda _: log.append("link"))
        log.append(await green)

    run(main())
    assert log == ["link", 1]


def test_many_tasks_await_one_green_thread_any_number_of_times():
    async def main():
        green = eventlet.spawn(lambda: 7)

        async def twice():
            return await green, await green

        return await asyncio.gather(twice(), twice(), green)

    assert run(main()) == [(7, 7), (7, 7), 7]


def test_gather_wait_wait_for_as_completed_shield_and_ensure_future_take_green_threads():
    def body(value):
        eventlet.sleep(0)
        return value

    def spawned(value):
        return eventlet.spawn(body, value)

    async def main():
        results = await asyncio.gather(spawned(1), spawned(2))
        futures = [asyncio.ensure_future(spawned(3)), greenlet_to_future(spawned(4))]
        done, pending = await asyncio.wait(futures)
        assert not pending
        results += sorted(f.result() for f in done)
        results.append(await asyncio.wait_for(spawned(5), 30))
        results += sorted(
            [await f for f in asyncio.as_completed([spawned(6), spawned(7)])]
        )
        results.append(await asyncio.shield(spawned(8)))
        results.append(await asyncio.shield(greenlet_to_future(spawned(9))))
        return results

    assert run(main()) == [1, 2, 3, 4, 5, 6, 7, 8, 9]


@pytest.mark.skipif(
    sys.version_info < (3, 11), reason="TaskGroup is new in Python 3.11"
)
def test_task_group_kills_green_threads_when_a_sibling_fails(settle):
    log = []

    def body():
        try:
            eventlet.sleep(60)
        finally:
            log.append("killed")

    async def waits():
        await eventlet.spawn(body)

    async def fails():
        await asyncio.sleep(0)
        await eventlet.spawn(eventlet.sleep, 0)
        raise ValueError("first")

    async def main():
        async with asyncio.TaskGroup() as group:
            group.create_task(waits())
            group.create_task(fails())

    with pytest.raises(ExceptionGroup) as caught:  # noqa: F821 - of Python 3.11
        run(main())
    assert [type(e) for e in caught.value.exceptions] == [ValueError]
    assert log == ["killed"]


def test_future_of_a_green_thread_speaks_asyncios_protocol():
    async def main():
        event = Event()
        green = eventlet.spawn(event.wait)
        future = greenlet_to_future(green)
        calls = []
        forgotten = calls.append
        future.add_done_callback(forgotten)
        assert future.remove_done_callback(forgotten) == 1
        future.add_done_callback(calls.append)
        assert asyncio.isfuture(future)
        assert asyncio.ensure_future(future) is future
        assert future.get_loop() is asyncio.get_running_loop()
        assert (future.done(), future.cancelled()) == (False, False)
        for ask in (future.result, future.exception):
            with pytest.raises(asyncio.InvalidStateError):
                ask()
        event.send("value")
        assert await future == "value"
        await asyncio.sleep(0)
        assert calls == [future]
        assert (future.done(), future.cancelled()) == (True, False)
        assert future.exception() is None
        assert future.cancel() is False
        return future.result()

    assert run(main()) == "value"


def test_callbacks_of_a_future_run_in_the_context_they_were_given():
    variable = contextvars.ContextVar("variable", default=0)

    async def main():
        event = Event()
        future = greenlet_to_future(eventlet.spawn(event.wait))
        context = contextvars.copy_context()
        context.run(variable.set, 4)
        seen = []
        future.add_done_callback(lambda _: seen.append(variable.get()), context=context)
        future.add_done_callback(lambda _: seen.append(variable.get()))
        event.send(None)
        await future
        await asyncio.sleep(0)
        return seen

    assert run(main()) == [4, 0]


def test_greenlet_without_an_outcome_makes_no_future():
    green = eventlet.spawn_n(lambda: None)
    with pytest.raises(TypeError, match="GreenThread"):
        greenlet_to_future(green)
    eventlet.sleep(0)


def test_green_thread_that_awaits_itself_through_a_coroutine_is_refused():
    async def main():
        await green

    def body():
        return spawn_for_awaitable(main()).wait()

    green = eventlet.spawn(body)
    with pytest.raises(RuntimeError, match="await itself"):
        green.wait()


def test_wait_for_a_coroutine_that_already_awaits_the_waiter_is_refused(settle):
    async def main():
        await green

    def body():
        waiter = spawn_for_awaitable(main())
        settle()
        with pytest.raises(RuntimeError, match="awaits it"):
            waiter.wait()
        waiter.kill()
        return "refused"

    green = eventlet.spawn(body)
    assert green.wait() == "refused"


def test_green_thread_of_another_os_thread_is_awaited_across():
    ready, done = threading.Event(), []

    async def main():
        try:
            done.append(await green)
        except BaseException as error:
            done.append(error)

    def other():
        asyncio.run(main())
        ready.set()

    def body():
        while not go:
            eventlet.sleep(0.001)
        return threading.get_ident()

    go = []
    green = eventlet.spawn(body)
    thread = threading.Thread(target=other)
    thread.start()
    go.append(1)
    green.wait()
    thread.join(30)
    assert done == [threading.get_ident()]


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
def test_exit_of_an_awaited_green_thread_reaches_main(run_isolated, loop_kind, kind):
    program = f"""
import eventlet, asyncio
from eventlet.asyncio import spawn_for_awaitable
def body(): raise {kind}("mine")
async def main():
    try: await eventlet.spawn(body)
    except {kind} as error: print("awaiter", error)
green = spawn_for_awaitable(main())
try: eventlet.sleep(10)
except {kind} as error: print("main", error)
green.wait()
print(eventlet.spawn(lambda: "usable").wait())
"""
    loop = f"{loop_kind}:new_event_loop"
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_LOOP": loop}
    done = run_isolated(program, env)
    assert sorted(done.stdout.splitlines()) == ["awaiter mine", "main mine", "usable"]
    assert done.stderr == ""
