"""Whom code in a coroutine takes itself for, and greenlets inside coroutines."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys

import pytest

import eventlet
import eventlet.asyncio
import greenlet
from eventlet import corolocal, greenthread, hubs
from eventlet.asyncio import spawn_for_awaitable
from eventlet.green.thread import RLock

run = eventlet.asyncio.run

NEW = sys.version_info >= (3, 12)
variable = contextvars.ContextVar("variable", default="unset")


def cancelling():
    """Return how many cancellations the running task counts; 0 where none are counted."""
    return getattr(asyncio.current_task(), "cancelling", lambda: 0)()


# Identity


def test_each_task_is_a_green_thread_of_its_own():
    async def child():
        me = greenthread.getcurrent()
        await asyncio.sleep(0)
        eventlet.sleep(0)
        assert greenthread.getcurrent() is me
        return me

    async def main():
        me = greenthread.getcurrent()
        others = await asyncio.gather(child(), child())
        assert greenthread.getcurrent() is me
        assert all(isinstance(g, greenthread.GreenThread) and g.dead for g in others)
        assert me
        assert not me.dead
        return {me, *others}

    assert len(run(main())) == 3


def test_coroutine_of_spawn_for_awaitable_is_the_green_thread_that_it_returns():
    async def work():
        return greenthread.getcurrent()

    green = spawn_for_awaitable(work())
    assert green.wait() is green


def test_lock_that_may_be_taken_again_belongs_to_the_task():
    lock = RLock()
    seen = []

    async def holder():
        lock.acquire()
        await asyncio.sleep(0)
        seen.append(lock.acquire(blocking=False))
        await asyncio.sleep(0)
        lock.release()
        lock.release()

    async def other():
        await asyncio.sleep(0)
        seen.append(lock.acquire(blocking=False))
        # A green wait: the holder goes on meanwhile.
        lock.acquire()
        lock.release()
        seen.append("in turn")

    async def main():
        await asyncio.gather(holder(), other())

    run(main())
    assert seen == [True, False, "in turn"]


def test_locals_belong_to_the_task():
    here = corolocal.local()

    async def child(name):
        assert not hasattr(here, "name")
        here.name = name
        await asyncio.sleep(0)
        eventlet.sleep(0)
        return here.name

    async def main():
        here.name = "main"
        results = await asyncio.gather(child("a"), child("b"))
        return [*results, here.name]

    assert run(main()) == ["a", "b", "main"]
    assert not hasattr(here, "name")


def test_patched_threads_see_each_task_as_a_thread(run_isolated):
    program = """
import eventlet
eventlet.monkey_patch()
import asyncio, threading, time, os
import eventlet.asyncio

here = threading.local()
lock = threading.Lock()
rlock = threading.RLock()
log = []

async def child(name):
    here.name = name
    with rlock, rlock:
        time.sleep(0.001)
        with lock:
            time.sleep(0.001)
    assert here.name == name
    return threading.get_ident(), threading.current_thread()

async def main():
    found = await asyncio.gather(*[child(n) for n in "abc"])
    idents = {ident for ident, _ in found}
    threads = {thread for _, thread in found}
    assert len(idents) == len(threads) == 3, found
    assert threading.get_ident() not in idents
    reader, writer = os.pipe()
    eventlet.spawn(os.write, writer, b"x")
    assert os.read(reader, 1) == b"x"
    thread = threading.Thread(target=time.sleep, args=(0.001,))
    thread.start()
    thread.join()
    return "pass"

print(eventlet.asyncio.run(main()))
"""
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert (done.stdout, done.stderr) == ("pass\n", "")


def test_link_of_a_tasks_green_thread_is_called_at_its_end_and_the_error_stays_the_tasks():
    log = []

    async def child():
        greenthread.getcurrent().link(lambda green: log.append(green.dead))
        raise ValueError("mine")

    async def main():
        with pytest.raises(ValueError, match="mine"):
            await asyncio.create_task(child())
        await asyncio.sleep(0)

    run(main())
    assert log == [True]


def test_error_that_nobody_takes_is_still_reported_by_asyncio(capsys):
    reports = []

    async def child():
        greenthread.getcurrent()
        raise ValueError("mine")

    async def main():
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: reports.append(context["message"])
        )
        task = asyncio.create_task(child())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        del task
        gc.collect()
        asyncio.get_running_loop().set_exception_handler(None)

    run(main())
    assert reports == ["Task exception was never retrieved"]
    assert capsys.readouterr().err == ""


def test_context_variables_are_the_tasks():
    def green():
        eventlet.sleep(0)
        return variable.get()

    async def child(value):
        variable.set(value)
        eventlet.sleep(0.001)
        assert variable.get() == value
        assert eventlet.spawn(green).wait() == value
        await asyncio.sleep(0)
        return variable.get()

    async def main():
        return await asyncio.gather(child("a"), child("b")), variable.get()

    assert run(main()) == (["a", "b"], "unset")


def test_current_task_and_loop_are_right_after_a_green_call(loop_kind):
    async def child():
        event_loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for wait in (lambda: eventlet.sleep(0.001), lambda: eventlet.sleep(0)):
            wait()
            assert asyncio.current_task() is task
            assert asyncio.get_running_loop() is event_loop
            await asyncio.sleep(0)
            assert asyncio.current_task() is task
        return task

    async def main():
        tasks = [asyncio.create_task(child()) for _ in range(3)]
        assert await asyncio.gather(*tasks) == tasks

    run(main())


def test_green_code_runs_in_no_task():
    async def main():
        return await eventlet.spawn(asyncio.current_task)

    assert run(main()) is None
    assert asyncio.current_task() is None
    assert asyncio.tasks.current_task() is None
    assert asyncio.current_task(hubs.get_hub().loop) is None


# Greenlets inside


def test_greenlet_made_by_a_coroutine_returns_to_it():
    async def work(values):
        me = greenthread.getcurrent()
        child = greenlet.greenlet(values)
        assert child.parent is me
        found = [child.switch()]
        await asyncio.sleep(0)
        while child:
            found.append(child.switch())
        return found

    def values():
        parent = greenlet.getcurrent().parent
        parent.switch("first")
        eventlet.sleep(0.001)
        parent.switch("second")
        return "last"

    async def main():
        return await asyncio.gather(work(values), work(values))

    assert run(main()) == [["first", "second", "last"]] * 2


def test_greenlet_that_blocks_in_a_coroutine_goes_on_in_its_task():
    log = []

    def child():
        event_loop = asyncio.get_running_loop()
        eventlet.sleep(0.001)
        assert asyncio.get_running_loop() is event_loop
        log.append(asyncio.current_task())

    async def main():
        greenlet.greenlet(child).switch()
        log.append(asyncio.current_task())

    run(main())
    assert log[0] is not None
    assert log[0] is log[1]


def test_cancelling_reaches_a_greenlet_that_blocks_in_the_coroutine():
    log = []

    def child():
        try:
            eventlet.sleep(60)
        except asyncio.CancelledError:
            log.append("child")
            raise

    async def work():
        try:
            greenlet.greenlet(child).switch()
        except asyncio.CancelledError:
            log.append("coroutine")
            raise

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())
    assert log == ["child", "coroutine"]


def test_blocked_coroutine_is_switched_to_and_thrown_into():
    async def waits():
        return hubs.get_hub().switch()

    async def main(how):
        task = asyncio.create_task(waits())
        await asyncio.sleep(0)
        how()
        return await task

    async def named(how):
        green.append(spawn_for_awaitable(waits()))
        await asyncio.sleep(0)
        how()
        return await green[-1]

    green = []
    assert run(named(lambda: eventlet.spawn(green[-1].switch, "value"))) == "value"
    assert (
        run(named(lambda: hubs.get_hub().schedule_call_global(0, green[-1].switch, 3)))
        == 3
    )
    with pytest.raises(ValueError, match="thrown"):
        run(named(lambda: eventlet.spawn(green[-1].throw, ValueError("thrown"))))


def test_exception_is_thrown_into_a_coroutine_at_its_await():
    async def waits():
        try:
            await asyncio.sleep(60)
        except ValueError:
            return "caught", cancelling()

    green = spawn_for_awaitable(waits())
    eventlet.sleep(0)
    eventlet.spawn(green.throw, ValueError)
    assert green.wait() == ("caught", 0)


def test_tracers_are_not_told_of_the_steps_of_coroutines():
    seen = []

    async def main():
        me = greenthread.getcurrent()
        eventlet.sleep(0.001)
        await asyncio.sleep(0)
        child = greenlet.greenlet(lambda: me.switch("switched"))
        return child.switch()

    greenlet.settrace(lambda _event, pair: seen.extend(pair))
    try:
        assert run(main()) == "switched"
    finally:
        greenlet.settrace(None)
    known = {id(greenlet.getcurrent()), id(hubs.get_hub().greenlet)}
    strangers = [g for g in seen if id(g) not in known]
    assert strangers == []


def test_frame_of_a_suspended_coroutine_is_where_it_waits():
    """The innermost one, as with a green thread that is suspended."""

    async def inner(wait):
        await wait()

    async def outer(wait):
        await inner(wait)

    async def blocks():
        eventlet.sleep(60)

    async def awaits():
        await asyncio.Event().wait()

    threads = [spawn_for_awaitable(outer(wait)) for wait in (blocks, awaits)]
    assert [thread.gr_frame for thread in threads] == [None, None]
    eventlet.sleep(0.01)
    names = [thread.gr_frame.f_code.co_name for thread in threads]
    for thread in threads:
        thread.kill()
    eventlet.sleep(0.01)
    assert names == ["blocks", "wait"]
    assert [thread.gr_frame for thread in threads] == [None, None]
