"""Blocking green calls in coroutines: each suspends its own task, and no other."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import os
import socket
import sys
import threading
import time
import traceback
import types
import weakref

import greenlet
import pytest

import eventlet
import eventlet.asyncio
from eventlet import corolocal, greenthread, hubs, tpool
from eventlet.asyncio import await_, spawn_for_awaitable
from eventlet.event import Event
from eventlet.green import os as green_os
from eventlet.green import socket as green_socket
from eventlet.green import threading as green_threading
from eventlet.green import time as green_time
from eventlet.lock import Lock
from eventlet.queue import LightQueue, Queue
from eventlet.semaphore import Semaphore

run = eventlet.asyncio.run

NEW = sys.version_info >= (3, 12)
variable = contextvars.ContextVar("variable", default="unset")


def cancelling():
    """Return how many cancellations the running task counts; 0 where none are counted."""
    return getattr(asyncio.current_task(), "cancelling", lambda: 0)()


# Whose coroutines may block


def test_coroutine_of_spawn_for_awaitable_may_block():
    async def work():
        eventlet.sleep(0.001)
        return eventlet.spawn(lambda: 5).wait()

    assert spawn_for_awaitable(work()).wait() == 5


def test_every_task_of_run_may_block():
    async def child(number):
        eventlet.sleep(0.001)
        await asyncio.sleep(0)
        eventlet.sleep(0)
        return number

    async def main():
        tasks = [asyncio.create_task(child(number)) for number in range(3)]
        return await asyncio.gather(*tasks, child(3)), await child(4)

    assert run(main()) == ([0, 1, 2, 3], 4)


def test_every_task_of_the_hubs_own_loop_may_block():
    async def child():
        eventlet.sleep(0.001)
        return 7

    event_loop = hubs.get_hub().loop
    for make in (asyncio.ensure_future, event_loop.create_task, asyncio.create_task):
        assert await_(make(child())) == 7
    assert event_loop.run_until_complete(child()) == 7


def test_tasks_that_green_coroutines_make_on_a_loop_of_others_may_block():
    async def child():
        eventlet.sleep(0.001)
        return 7

    async def parent():
        return await asyncio.gather(child(), asyncio.create_task(child()))

    async def main():
        assert await spawn_for_awaitable(parent()) == [7, 7]
        with pytest.raises(RuntimeError, match="await"):
            await asyncio.create_task(child())
        return True

    assert asyncio.run(main())


def test_plain_task_of_an_adopted_loop_is_told_the_three_ways_out():
    async def main():
        with pytest.raises(RuntimeError) as caught:
            eventlet.sleep(1)
        return str(caught.value)

    text = asyncio.run(main())
    for way in ("eventlet.asyncio.run(", "await eventlet.spawn(", "await asyncio.to_thread("):
        assert way in text


def test_loop_that_the_hub_releases_makes_plain_tasks_again():
    event_loop = asyncio.new_event_loop()
    asyncio.set_event_loop(event_loop)
    hub = hubs.asyncio.Hub()
    own = type(event_loop).create_task
    try:
        hub._made_loop = False
        hub._green_loop = event_loop
        event_loop.create_task = None
        hub._release_loop(event_loop)
        assert event_loop.create_task.__func__ is own
    finally:
        hub.close()
        asyncio.set_event_loop(None)
        event_loop.close()


# What else runs meanwhile


def test_blocked_coroutine_suspends_its_task_alone(gate):
    log = []

    async def blocked():
        log.append("blocked")
        event.wait()
        log.append("goes on")

    async def other():
        for turn in range(3):
            log.append(turn)
            await asyncio.sleep(0)
        event.send()

    async def main():
        await asyncio.gather(blocked(), other())

    event = Event()
    run(main())
    assert log == ["blocked", 0, 1, 2, "goes on"]


def test_sleep_of_no_time_lets_tasks_and_green_threads_run():
    log = []

    async def other():
        log.append("task")

    async def main():
        eventlet.spawn(log.append, "green")
        task = asyncio.create_task(other())
        for _ in range(3):
            eventlet.sleep(0)
        log.append("main")
        await task

    run(main())
    assert sorted(log[:2]) == ["green", "task"]
    assert log[2:] == ["main"]


def test_sleeps_of_coroutines_pass_at_the_same_time():
    async def work(number):
        eventlet.sleep(0.05)
        return number

    async def main():
        return await asyncio.gather(*[work(number) for number in range(20)])

    begin = time.monotonic()
    assert run(main()) == list(range(20))
    assert time.monotonic() - begin < 0.5


# The green calls


def test_green_primitives_block_in_coroutines():
    semaphore, queue, light, event = Semaphore(0), Queue(0), LightQueue(), Event()
    lock = Lock()
    lock.acquire()
    log = []

    def green():
        log.append(queue.get())
        light.put("light")
        semaphore.release()
        lock.release()
        event.send("event")

    async def main():
        eventlet.spawn(green)
        queue.put("queue")
        log.append(light.get())
        log.append(semaphore.acquire())
        log.append(lock.acquire())
        log.append(event.wait())
        pool = eventlet.GreenPool(2)
        log.append(list(pool.imap(double, range(4))))
        pool.waitall()

    def double(number):
        eventlet.sleep(0)
        return number * 2

    run(main())
    assert log == ["queue", "light", True, True, "event", [0, 2, 4, 6]]


def test_two_coroutines_talk_over_a_queue():
    async def produce(queue):
        for number in range(5):
            queue.put(number)
        queue.put(None)

    async def consume(queue):
        return list(iter(queue.get, None))

    async def main():
        queue = Queue(1)
        return (await asyncio.gather(consume(queue), produce(queue)))[0]

    assert run(main()) == [0, 1, 2, 3, 4]


def test_green_modules_block_in_coroutines():
    async def main():
        green_time.sleep(0.001)
        one, other = green_socket.socketpair()
        task = asyncio.create_task(answer(other))
        one.sendall(b"question")
        assert one.recv(100) == b"answer"
        await task
        one.close()
        other.close()
        reader, writer = os.pipe()
        os.set_blocking(reader, False)
        eventlet.spawn(os.write, writer, b"piped")
        assert green_os.read(reader, 10) == b"piped"
        os.close(reader)
        os.close(writer)
        lock = green_threading.Lock()
        with lock:
            thread = green_threading.Thread(target=lock.acquire)
            thread.start()
        thread.join()
        return tpool.execute(threading.get_ident)

    async def answer(sock):
        assert sock.recv(100) == b"question"
        sock.sendall(b"answer")

    assert run(main()) != threading.get_ident()


def test_green_thread_that_a_coroutine_kills_has_ended_when_kill_returns():
    log = []

    def victim():
        try:
            eventlet.sleep(100)
        finally:
            log.append("cleanup")

    async def main():
        green = eventlet.spawn(victim)
        eventlet.sleep(0)
        green.kill()
        log.append("killed")
        assert green.dead

    run(main())
    assert log == ["cleanup", "killed"]


def test_exception_of_a_green_call_is_raised_in_the_coroutine():
    def fails():
        eventlet.sleep(0)
        raise ValueError("mine")

    async def main():
        with pytest.raises(ValueError, match="mine"):
            eventlet.spawn(fails).wait()
        return True

    assert run(main())


def test_coroutine_that_waits_for_itself_is_refused():
    async def main():
        greenthread.getcurrent().wait()

    with pytest.raises(RuntimeError, match="itself"):
        run(main())


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
                async with asyncio.timeout(0.001):
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
        with pytest.raises(eventlet.Timeout) as caught, eventlet.Timeout(0.001) as timeout:
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
        time.sleep(0.01)
        for _ in range(2):
            try:
                await asyncio.sleep(60)
            except eventlet.Timeout as error:
                caught.append(error)
        return caught == [first, second], cancelling()

    assert run(main()) == (True, 0)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="3.10 does not count them")
def test_cancellation_by_others_comes_before_a_timeout_of_the_same_moment():
    async def timed():
        with eventlet.Timeout(0.001):
            await asyncio.sleep(60)

    async def main():
        task = asyncio.create_task(timed())
        await asyncio.sleep(0)
        time.sleep(0.01)
        asyncio.get_running_loop().call_later(0, task.cancel)
        with pytest.raises((asyncio.CancelledError, eventlet.Timeout)):
            await task
        return True

    assert run(main())


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
    assert run(named(lambda: hubs.get_hub().schedule_call_global(0, green[-1].switch, 3))) == 3
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
        assert asyncio.iscoroutine(coro)
        assert coro.__name__ == "work"
        assert coro.__qualname__.endswith("locals>.work")
        assert coro.cr_code.co_name == "work"
        assert coro.cr_frame.f_code.co_name == "work"
        assert not coro.cr_running
        assert coro.cr_await is not None
        assert isinstance(coro.__wrapped__, types.CoroutineType)
        assert "work" in repr(task)
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
    tasks = [event_loop.create_task(work()) for _ in range(4)]
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


# What is left


def test_nothing_is_left_of_coroutines_that_have_blocked():
    class Marker:
        pass

    references = []

    async def work(fails):
        marker = Marker()
        references.append(weakref.ref(marker))
        greenthread.getcurrent()
        eventlet.sleep(0)
        await asyncio.sleep(0)
        event.wait()
        if fails:
            raise ValueError
        return marker

    async def main():
        tasks = [asyncio.create_task(work(number % 2)) for number in range(50)]
        await asyncio.sleep(0)
        for task in tasks[:10]:
            task.cancel()
        event.send()
        await asyncio.gather(*tasks, return_exceptions=True)

    event = Event()
    run(main())
    eventlet.sleep(0)
    gc.collect()
    assert [r for r in references if r() is not None] == []
    assert len(references) == 50


def test_task_dropped_while_blocked_ends_its_green_call():
    log = []
    event = Event()

    async def work():
        try:
            event.wait()
        finally:
            log.append(sys.exc_info()[0])

    async def main():
        event_loop = asyncio.get_running_loop()
        event_loop.set_exception_handler(lambda *_: None)
        coro = asyncio.create_task(work())
        await asyncio.sleep(0)
        wrapper = coro.get_coro()
        coro.cancel()
        await asyncio.wait([coro])
        return wrapper

    run(main())
    assert log == [asyncio.CancelledError]


def test_wrapper_that_is_closed_while_blocked_ends_its_green_call():
    log = []
    event = Event()

    async def work():
        try:
            event.wait()
        finally:
            log.append(sys.exc_info()[0])

    made = []

    def factory(event_loop, coro, **options):
        made.append(coro)
        return asyncio.Task(nothing(), loop=event_loop, **options)

    async def nothing():
        pass

    async def main():
        event_loop = asyncio.get_running_loop()
        event_loop.set_task_factory(factory)
        task = asyncio.create_task(work())
        event_loop.set_task_factory(None)
        await task
        coro = made.pop()
        assert asyncio.isfuture(coro.send(None))
        assert log == []
        coro.close()
        assert log == [GeneratorExit]
        task = None
        event_loop.set_task_factory(factory)
        task = asyncio.create_task(work())
        event_loop.set_task_factory(None)
        await task
        coro = made.pop()
        coro.send(None)
        del coro
        gc.collect()

    run(main())
    assert log == [GeneratorExit] * 2
    event.send()
    eventlet.sleep(0)


def test_hub_cannot_be_replaced_by_a_coroutine():
    async def main():
        with pytest.raises(RuntimeError, match="spawn a green thread"):
            hubs.use_hub("asyncio")
        return True

    assert run(main())


def test_socket_and_stream_code_of_asyncio_is_undisturbed():
    async def serve(reader, writer):
        line = await reader.readline()
        eventlet.sleep(0.001)
        writer.write(line.upper())
        await writer.drain()
        writer.close()

    async def main():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"line\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        server.close()
        await server.wait_closed()
        return answer

    assert run(main()) == b"LINE\n"
    assert isinstance(socket.socket, type)
