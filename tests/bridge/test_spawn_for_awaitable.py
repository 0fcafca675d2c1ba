"""Green threads that stand for coroutines, futures and other awaitables."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import gc
import sys
import threading
import traceback
import weakref

import pytest

import eventlet
import greenlet
from eventlet import hubs
from eventlet.asyncio import spawn_for_awaitable


async def double(value):
    await asyncio.sleep(0)
    return value * 2


class Awaitable:
    """Has __await__ and is nothing else."""

    def __await__(self):
        yield from asyncio.sleep(0).__await__()
        return "awaited"


def test_result_of_a_coroutine_is_returned_by_wait():
    green = spawn_for_awaitable(double(4))
    assert isinstance(green, eventlet.greenthread.GreenThread)
    assert isinstance(green, greenlet.greenlet)
    assert (bool(green), green.dead) == (True, False)
    assert green.wait() == 8
    assert (bool(green), green.dead) == (False, True)
    assert green.wait() == 8


def test_futures_tasks_and_objects_with_await_are_taken():
    loop = hubs.get_hub().loop
    future = loop.create_future()
    loop.call_soon(future.set_result, "future")
    done = loop.create_future()
    done.set_result("done")
    for awaitable, expected in [
        (future, "future"),
        (done, "done"),
        (asyncio.ensure_future(double(1)), 2),
        (asyncio.create_task(double(2)), 4),
        (asyncio.gather(double(1), double(2)), [2, 4]),
        (Awaitable(), "awaited"),
        (eventlet.spawn(lambda: "green"), "green"),
        (spawn_for_awaitable(double(3)), 6),
    ]:
        assert spawn_for_awaitable(awaitable).wait() == expected


@pytest.mark.parametrize(
    "thing", [None, 3, double, "text", concurrent.futures.Future()]
)
def test_what_cannot_be_awaited_is_refused_at_the_call(thing):
    with pytest.raises(TypeError):
        spawn_for_awaitable(thing)


def test_hub_without_asyncio_is_named_in_the_error(run_isolated):
    done = run_isolated(
        "import eventlet, eventlet.hubs\n"
        "eventlet.hubs.use_hub('poll')\n"
        "from eventlet.asyncio import spawn_for_awaitable\n"
        "async def work(): pass\n"
        "coro = work()\n"
        "try: spawn_for_awaitable(coro)\n"
        "except RuntimeError as error: print(error)\n"
        "coro.close()\n",
        {"EVENTLET_HUB": "asyncio"},
    )
    assert "EVENTLET_HUB=asyncio" in done.stdout


def test_exception_shows_the_frames_of_the_coroutine():
    async def inner():
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def outer():
        await inner()

    with pytest.raises(ZeroDivisionError) as caught:
        spawn_for_awaitable(outer()).wait()
    names = [frame.name for frame in traceback.extract_tb(caught.tb)]
    assert names[-2:] == ["outer", "inner"]


def test_greenlet_exit_of_a_coroutine_is_raised_by_wait(capsys):
    async def work():
        raise greenlet.GreenletExit

    with pytest.raises(greenlet.GreenletExit):
        spawn_for_awaitable(work()).wait()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("how", ["wait", "await", "link", "late wait", "late link"])
def test_error_that_somebody_takes_is_not_printed(how, capsys):
    async def work():
        await asyncio.sleep(0)
        raise ValueError("taken")

    async def awaits(green):
        with pytest.raises(ValueError):
            await green

    def take(green):
        if "wait" in how and how != "await":
            with pytest.raises(ValueError):
                green.wait()
        elif how == "await":
            spawn_for_awaitable(awaits(green)).wait()
        else:
            green.link(lambda _: None)

    green = spawn_for_awaitable(work())
    if how.startswith("late"):
        for _ in range(5):
            eventlet.sleep(0)
        assert green.dead
    take(green)
    for _ in range(5):
        eventlet.sleep(0)
    del green
    gc.collect()
    assert capsys.readouterr().err == ""


def test_error_that_nobody_took_is_reported_once(capsys):
    async def work():
        raise ValueError("nobody's")

    green = spawn_for_awaitable(work())
    for _ in range(5):
        eventlet.sleep(0)
    assert green.dead
    del green
    gc.collect()
    assert capsys.readouterr().err.count("ValueError: nobody's") == 1


def test_links_run_once_whenever_they_were_added(gate):
    log = []

    async def work():
        return await gate

    green = spawn_for_awaitable(work())
    green.link(lambda g, word: log.append((word, g.wait())), "before")
    eventlet.sleep(0)
    green.link(lambda g, word: log.append((word, g.wait())), "while it runs")
    gate.open(1)
    green.wait()
    green.link(lambda g, word: log.append((word, g.wait())), "after")
    assert log == [("before", 1), ("while it runs", 1), ("after", 1)]


def test_coroutine_sees_its_spawners_context_variables():
    variable = contextvars.ContextVar("variable", default="none")

    async def work():
        before = variable.get()
        variable.set("the coroutine's")
        return before

    def body():
        variable.set("the spawner's")
        green = spawn_for_awaitable(work())
        variable.set("later")
        return green.wait(), variable.get()

    assert eventlet.spawn(body).wait() == ("the spawner's", "later")


def test_many_waiters_get_the_outcome_in_order_of_arrival(gate):
    log = []

    async def work():
        return await gate

    green = spawn_for_awaitable(work())
    waiters = [
        eventlet.spawn(lambda i=i: log.append((i, green.wait()))) for i in range(3)
    ]
    eventlet.sleep(0)
    gate.open("value")
    for waiter in waiters:
        waiter.wait()
    assert log == [(0, "value"), (1, "value"), (2, "value")]


def test_future_of_another_os_threads_loop_is_awaited_and_cancelled_there():
    made, futures, idents = threading.Event(), [], []

    async def main():
        loop = asyncio.get_running_loop()
        futures.extend(loop.create_future() for _ in range(2))
        futures[1].add_done_callback(lambda _: idents.append(threading.get_ident()))
        made.set()
        loop.call_later(0.01, futures[0].set_result, "across")
        await asyncio.wait(futures)

    thread = threading.Thread(target=lambda: asyncio.run(main()))
    thread.start()
    assert made.wait(30)
    green = spawn_for_awaitable(futures[1])
    assert spawn_for_awaitable(futures[0]).wait() == "across"
    green.kill()
    with pytest.raises(greenlet.GreenletExit):
        green.wait()
    thread.join(30)
    assert futures[1].cancelled()
    assert idents == [thread.ident]


def test_nothing_is_left_of_many():
    class Marker:
        pass

    async def work(marker):
        await asyncio.sleep(0)
        return marker

    references = []
    for _ in range(200):
        marker = Marker()
        references.append(weakref.ref(marker))
        assert spawn_for_awaitable(work(marker)).wait() is marker
    del marker
    eventlet.sleep(0)
    gc.collect()
    assert [r for r in references if r() is not None] == []
    assert asyncio.all_tasks(hubs.get_hub().loop) == set()


def test_switching_to_one_that_awaits_is_refused_and_changes_nothing(gate):
    async def work():
        return await gate

    green = spawn_for_awaitable(work())
    eventlet.sleep(0)
    with pytest.raises(greenlet.error, match="complete what it awaits"):
        green.switch()
    with pytest.raises(greenlet.error, match="complete what it awaits"):
        eventlet.spawn(green.switch).wait()
    gate.open("value")
    assert green.wait() == "value"


@pytest.mark.parametrize("kind", ["SystemExit", "KeyboardInterrupt"])
def test_exit_of_a_coroutine_goes_to_main_and_the_hub_stays_usable(
    run_isolated, loop_kind, kind
):
    program = f"""
import eventlet
from eventlet.asyncio import spawn_for_awaitable
async def work(): raise {kind}("mine")
async def fine(): return "usable"
def counts():
    for _ in range(3): eventlet.sleep(0.001)
    return "went on"
other = eventlet.spawn(counts)
eventlet.sleep(0)
green = spawn_for_awaitable(work())
try: eventlet.sleep(10)
except {kind} as error: print("main", error)
try: green.wait()
except {kind} as error: print("waiter", error)
print(spawn_for_awaitable(fine()).wait())
print(other.wait())
"""
    loop = f"{loop_kind}:new_event_loop"
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_LOOP": loop}
    done = run_isolated(program, env)
    lines = done.stdout.splitlines()
    assert lines == ["main mine", "waiter mine", "usable", "went on"]
    assert done.stderr == ""


def test_task_factory_of_the_loop_is_used():
    event_loop = hubs.get_hub().loop
    log = []

    def factory(loop, coro, **options):
        log.append("made")
        return asyncio.Task(coro, loop=loop, **options)

    event_loop.set_task_factory(factory)
    assert spawn_for_awaitable(double(4)).wait() == 8
    assert log == ["made"]


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks are new in 3.12")
def test_eager_first_step_sees_the_loop_and_may_block(loop_kind):
    if loop_kind == "uvloop":
        pytest.skip("uvloop calls the standard eager factory with an unknown argument")
    event_loop = hubs.get_hub().loop
    event_loop.set_task_factory(asyncio.eager_task_factory)

    async def work():
        eventlet.sleep(0.001)
        return asyncio.get_running_loop(), await eventlet.spawn(lambda: "green")

    assert spawn_for_awaitable(work()).wait() == (event_loop, "green")
    assert (
        eventlet.spawn(lambda: spawn_for_awaitable(work()).wait()).wait()[1] == "green"
    )
    with pytest.raises(RuntimeError):
        asyncio.get_running_loop()
