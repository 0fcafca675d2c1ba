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
    for way in (
        "eventlet.asyncio.run(",
        "await eventlet.spawn(",
        "await asyncio.to_thread(",
    ):
        assert way in text


def test_loop_that_the_hub_releases_makes_plain_tasks_again(monkeypatch):
    monkeypatch.delenv("EVENTLET_ASYNCIO_LOOP")
    event_loop = asyncio.new_event_loop()
    asyncio.set_event_loop(event_loop)
    hubs.use_hub("asyncio")
    assert hubs.get_hub().loop is event_loop
    assert "create_task" in vars(event_loop)
    hubs.use_hub("asyncio")
    assert "create_task" not in vars(event_loop)
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
