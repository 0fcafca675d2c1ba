"""Coroutines, loops and green threads of several OS threads."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, greenlet_to_future, spawn_for_awaitable
from eventlet.event import Event
from greenlet import GreenletExit


@contextlib.contextmanager
def other_loop(make=asyncio.new_event_loop):
    """Give a loop that another OS thread runs, which has no green threads."""
    event_loop = make()
    thread = threading.Thread(target=event_loop.run_forever)
    thread.start()
    try:
        yield event_loop, thread
    finally:
        event_loop.call_soon_threadsafe(event_loop.stop)
        thread.join(30)
        event_loop.close()


def in_thread(function):
    """Run a function in an OS thread; return it, and a list for its outcome."""
    outcome = []

    def body():
        try:
            outcome.append(function())
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    return thread, outcome


def join(thread):
    """Wait for an OS thread while green threads run."""
    with eventlet.Timeout(30):
        while thread.is_alive():
            eventlet.sleep(0.001)


# Awaiting


def test_green_thread_is_awaited_from_two_loops_of_its_os_thread():
    event = Event()
    green = eventlet.spawn(event.wait)

    async def awaits():
        return await green

    on_the_hubs = spawn_for_awaitable(awaits())
    on_another = eventlet.spawn(asyncio.run, awaits())
    eventlet.sleep(0)
    event.send("sent")
    assert (on_the_hubs.wait(), on_another.wait()) == ("sent", "sent")


def test_cancelling_in_another_loop_of_the_os_thread_kills_for_all():
    green = eventlet.spawn(Event().wait)

    async def awaits():
        await green

    async def gives_up():
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(green, 0.001)

    on_the_hubs = spawn_for_awaitable(awaits())
    eventlet.sleep(0)
    asyncio.run(gives_up())
    with pytest.raises(asyncio.CancelledError):
        on_the_hubs.wait()
    with pytest.raises(GreenletExit):
        green.wait()


def test_several_os_threads_await_one_green_thread():
    event = Event()
    home = threading.get_ident()
    green = eventlet.spawn(lambda: (event.wait(), threading.get_ident()))
    begun = threading.Semaphore(0)

    async def awaits():
        future = greenlet_to_future(green)
        begun.release()
        return await future, await green

    others = [in_thread(lambda: asyncio.run(awaits())) for _ in range(3)]
    for _ in others:
        assert begun.acquire(timeout=30)
    event.send("sent")
    for thread, outcome in others:
        join(thread)
        assert outcome == [(("sent", home), ("sent", home))]


def test_error_reaches_the_awaiter_in_another_os_thread_as_the_same_object():
    error = ValueError("mine")
    event = Event()
    green = eventlet.spawn(event.wait)

    async def awaits():
        await green

    thread, outcome = in_thread(lambda: asyncio.run(awaits()))
    event.send_exception(error)
    with pytest.raises(ValueError, match="mine"):
        green.wait()
    join(thread)
    assert outcome[0] is error


def test_kill_from_another_os_thread_ends_the_task_in_its_own(gate, settle):
    seen = []

    async def work():
        try:
            await gate
        finally:
            seen.append(threading.get_ident())

    green = spawn_for_awaitable(work())
    settle()
    thread, outcome = in_thread(green.kill)
    with pytest.raises(GreenletExit):
        green.wait()
    join(thread)
    settle()
    assert (outcome, seen) == ([None], [threading.get_ident()])


# Loops of other OS threads


def test_run_coroutine_threadsafe_reaches_the_hubs_loop_while_all_sleeps():
    event_loop = hubs.get_hub().loop

    async def work():
        green = eventlet.spawn(threading.get_ident)
        return await green, threading.get_ident()

    def ask():
        return asyncio.run_coroutine_threadsafe(work(), event_loop).result(30)

    ends = Event()
    thread, outcome = in_thread(lambda: (ask(), ends.send(None))[0])
    ends.wait()
    join(thread)
    assert outcome == [(threading.get_ident(), threading.get_ident())]


def test_cancelling_a_coroutine_of_another_os_thread_ends_it_on_the_hubs_loop():
    event_loop = hubs.get_hub().loop
    begun, told = threading.Event(), Event()

    async def work():
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            told.send(threading.get_ident())

    def ask():
        future = asyncio.run_coroutine_threadsafe(work(), event_loop)
        assert begun.wait(30)
        future.cancel()

    thread, _ = in_thread(ask)
    assert told.wait() == threading.get_ident()
    join(thread)


def test_green_threads_use_a_loop_of_another_os_thread():
    async def work(value):
        await asyncio.sleep(0)
        return value, threading.get_ident()

    def body(event_loop, value):
        future = asyncio.run_coroutine_threadsafe(work(value), event_loop)
        return await_(asyncio.wrap_future(future))

    with other_loop() as (event_loop, thread):
        greens = [eventlet.spawn(body, event_loop, value) for value in range(3)]
        assert [green.wait() for green in greens] == [
            (value, thread.ident) for value in range(3)
        ]


def test_task_of_another_os_threads_loop_is_waited_for():
    async def fails():
        raise ZeroDivisionError

    def made(coro):
        made = Event()
        event_loop.call_soon_threadsafe(lambda: made.send(event_loop.create_task(coro)))
        return made.wait()

    with other_loop() as (event_loop, thread):
        assert spawn_for_awaitable(made(asyncio.sleep(0, "slept"))).wait() == "slept"
        with pytest.raises(ZeroDivisionError):
            spawn_for_awaitable(made(fails())).wait()
        task = made(asyncio.sleep(60))
        green = spawn_for_awaitable(task)
        eventlet.sleep(0)
        green.kill()
        with pytest.raises(GreenletExit):
            green.wait()
        ended = Event()
        event_loop.call_soon_threadsafe(
            task.add_done_callback, lambda _: ended.send(threading.get_ident())
        )
        assert ended.wait() == thread.ident
        assert task.cancelled()


def test_each_os_thread_runs_tasks_on_the_loop_of_its_hub():
    def body():
        async def work():
            await asyncio.sleep(0)
            return asyncio.get_running_loop(), await eventlet.spawn(hubs.get_hub)

        greens = [spawn_for_awaitable(work()) for _ in range(2)]
        return [green.wait() for green in greens]

    threads = [in_thread(body) for _ in range(3)]
    for thread, _ in threads:
        join(thread)
    everywhere = [outcome for _, (outcome,) in threads]
    for first, second in everywhere:
        assert first == second
    loops = {id(first[0]) for first, _ in everywhere}
    assert len(loops | {id(hubs.get_hub().loop)}) == 4


def test_loop_of_an_os_thread_is_finished_when_that_ends():
    log = []

    async def stays():
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            await asyncio.sleep(0)
            log.append("cleaned up")

    def body():
        spawn_for_awaitable(stays())
        eventlet.sleep(0)
        return hubs.get_hub().loop

    thread, outcome = in_thread(body)
    join(thread)
    assert log == ["cleaned up"]
    assert outcome[0].is_closed()
