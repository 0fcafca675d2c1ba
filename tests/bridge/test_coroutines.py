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
import weakref

import pytest

import eventlet
import eventlet.asyncio
from eventlet import greenthread, hubs, tpool
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


def test_every_task_of_an_applications_loop_may_block():
    async def child():
        eventlet.sleep(0.001)
        return eventlet.spawn(lambda: 7).wait()

    async def parent():
        return await asyncio.gather(child(), asyncio.create_task(child()))

    async def main():
        assert await child() == 7
        assert await spawn_for_awaitable(parent()) == [7, 7]
        return await parent()

    for _ in range(2):
        assert asyncio.run(main()) == [7, 7]
        assert eventlet.spawn(asyncio.run, main()).wait() == [7, 7]


def test_task_that_blocks_under_asyncio_run_suspends_that_task_alone():
    log = []

    async def tick():
        while True:
            log.append("tick")
            await asyncio.sleep(0.001)

    async def main():
        ticking = asyncio.create_task(tick())
        eventlet.sleep(0.05)
        ticking.cancel()
        return len(log)

    assert asyncio.run(main()) > 5


def test_tasks_made_whole_by_others_may_block():
    def factory(event_loop, coro, **options):
        seen.append(coro)
        return asyncio.Task(coro, loop=event_loop, **options)

    async def child():
        eventlet.sleep(0.001)
        return 7

    async def main():
        event_loop = asyncio.get_running_loop()
        event_loop.set_task_factory(factory)
        coro = child()
        task = asyncio.create_task(coro)
        assert seen == [coro]
        assert task.get_coro() is coro
        made = asyncio.Task(child(), loop=event_loop)
        return await task, await made

    seen = []
    assert asyncio.run(main()) == (7, 7)
    seen.clear()
    assert run(main()) == (7, 7)
    seen.clear()


def test_coroutine_that_is_stepped_by_hand_blocks_who_steps_it():
    log = []

    async def work():
        eventlet.sleep(0.01)
        return 5

    async def main():
        other = asyncio.create_task(asyncio.sleep(0, "other"))
        other.add_done_callback(log.append)
        with pytest.raises(StopIteration) as stop:
            work().send(None)
        # This task is the one that was suspended.
        assert log == [other]
        return stop.value.value

    assert asyncio.run(main()) == 5
    log.clear()


# Where a call cannot suspend a task


def in_callback(function):
    """Run a function in a callback of a fresh loop; its result or exception."""

    async def main():
        event_loop = asyncio.get_running_loop()
        done = event_loop.create_future()

        def call():
            try:
                done.set_result(function())
            except Exception as error:
                done.set_exception(error)

        event_loop.call_soon(call)
        return await done

    return asyncio.run(main())


@pytest.mark.parametrize("green", [False, True])
def test_green_call_in_a_callback_blocks_its_loop_with_a_warning(green):
    log = []

    def blocks():
        asyncio.get_running_loop().call_soon(log.append, "loop")
        other = eventlet.spawn(lambda: (eventlet.sleep(0.005), log.append("green"))[1])
        eventlet.sleep(0.02)
        assert other.dead
        assert eventlet.spawn(lambda: 5).wait() == 5
        assert list(eventlet.GreenPool().imap(abs, [-1, -2])) == [1, 2]
        event = Event()
        eventlet.spawn_after(0.001, event.send, 3)
        assert event.wait() == 3
        assert event.wait() == 3
        with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.005):
            eventlet.sleep(60)
        log.append("returns")
        asyncio.get_running_loop()

    def test():
        with pytest.warns(
            RuntimeWarning, match="blocks its asyncio event loop"
        ) as seen:
            in_callback(blocks)
        assert {warning.filename for warning in seen} == {__file__}

    if green:
        eventlet.spawn(test).wait()
    else:
        test()
    assert log[:2] == ["green", "returns"]


def test_green_call_in_a_callback_of_the_hubs_own_loop_blocks_it():
    async def main():
        event_loop = asyncio.get_running_loop()
        done = event_loop.create_future()

        def call():
            green = eventlet.spawn(lambda: (eventlet.sleep(0.005), 5)[1])
            done.set_result(green.wait())

        event_loop.call_soon(call)
        return await done

    with pytest.warns(RuntimeWarning):
        assert run(main()) == 5
    assert eventlet.spawn(lambda: 6).wait() == 6


def test_yield_in_a_callback_lets_green_threads_run_and_warns_of_nothing():
    log = []

    def yields():
        eventlet.spawn(log.append, "green")
        eventlet.sleep(0)
        log.append("callback")

    in_callback(yields)
    assert log == ["green", "callback"]


@pytest.mark.filterwarnings("ignore:a blocking green call:RuntimeWarning")
@pytest.mark.parametrize("green", [False, True])
def test_green_call_that_needs_the_loop_it_blocks_is_refused(green):
    async def double(value):
        await asyncio.sleep(0)
        return value * 2

    def test():
        with pytest.raises(RuntimeError, match="would wait for ever"):
            in_callback(lambda: await_(double(2)))
        if not green:
            # Through a green thread, and where nobody is left to wake it.
            with pytest.raises(RuntimeError, match="would wait for ever"):
                in_callback(lambda: eventlet.spawn(await_, double(2)).wait())

    if green:
        eventlet.spawn(test).wait()
    else:
        test()


@pytest.mark.filterwarnings("ignore:a blocking green call:RuntimeWarning")
def test_callback_that_blocks_is_woken_by_a_kill_and_by_a_switch():
    def killed():
        eventlet.spawn_after(0.001, eventlet.kill, greenthread.getcurrent(), ValueError)
        with pytest.raises(ValueError):
            eventlet.sleep(60)
        return True

    def switched():
        hub = hubs.get_hub()
        hub.schedule_call_global(0.001, greenthread.getcurrent().switch, "sent")
        return hub.switch()

    assert in_callback(killed)
    assert in_callback(switched) == "sent"
    assert eventlet.spawn(lambda: 5).wait() == 5


@pytest.mark.parametrize("choice", ["error", "off"])
def test_plain_tasks_can_be_chosen(choice, run_isolated):
    program = """
import asyncio, warnings
import eventlet

async def child():
    eventlet.sleep(0.001)
    return 7

async def main():
    loop = asyncio.get_running_loop()
    done = loop.create_future()

    def call():
        try:
            eventlet.sleep(0.001)
            done.set_result("blocked")
        except RuntimeError as error:
            done.set_result(str(error))

    loop.call_soon(call)
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        eventlet.sleep(0.001)
    print(await done, len(seen))

asyncio.run(main())
print(eventlet.asyncio.spawn_for_awaitable(child()).wait())
"""
    environment = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_PLAIN_TASKS": choice}
    lines = run_isolated(program, environment).stdout.splitlines()
    if choice == "error":
        assert "EVENTLET_ASYNCIO_PLAIN_TASKS=error" in lines[0]
        assert lines[0].endswith(" 0")
    else:
        assert lines[0] == "blocked 1"
    assert lines[1] == "7"


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


# Other OS threads


def test_green_coroutines_of_two_os_threads_talk_over_a_queue():
    there, back = Queue(), Queue()
    outcome = []

    async def echo():
        for _ in range(3):
            back.put(there.get() * 2)
            await asyncio.sleep(0)
        return threading.get_ident()

    async def ask():
        answers = []
        for number in range(3):
            there.put(number)
            await asyncio.sleep(0)
            answers.append(back.get())
        return answers

    def body():
        hubs.use_hub("asyncio")
        outcome.append(run(echo()))
        hubs.get_hub().close()

    thread = threading.Thread(target=body)
    thread.start()
    assert run(ask()) == [0, 2, 4]
    tpool.execute(thread.join)
    assert outcome == [thread.ident]


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


def test_coroutine_that_is_closed_while_blocked_ends_its_green_call():
    log = []
    event = Event()

    async def work():
        try:
            event.wait()
        finally:
            log.append(sys.exc_info()[0])

    async def main():
        task = asyncio.create_task(work())
        await asyncio.sleep(0)
        assert log == []
        task.get_coro().close()
        assert log == [GeneratorExit]
        task.cancel()
        await asyncio.wait([task])

    run(main())
    log.clear()
    asyncio.run(main())
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
