"""
The helpers of a migration, used in one way wherever they run.

Argument: eventlet (patched), green (not patched), threads or asyncio.
"""

import asyncio
import concurrent.futures
import contextvars
import io
import logging
import queue
import socket
import subprocess
import sys
import threading
import time

PLACE = sys.argv[1]
if PLACE in ("eventlet", "green"):
    import eventlet

    if PLACE == "eventlet":
        eventlet.monkey_patch()
    else:
        eventlet.sleep(0)  # gives this OS thread its hub

from eventlet_asyncio import migration
from eventlet_asyncio.migration import (
    Deadline,
    DeadlineExceeded,
    Executor,
    ResultEvent,
    cooperative_yield,
    spawn,
)

GREEN = PLACE in ("eventlet", "green")
LOG = io.StringIO()
logging.basicConfig(stream=LOG, format="%(levelname)s %(message)s")


def raises(kind, function, *args, **kwargs):
    """Return the exception that the call raises, which is of that kind."""
    try:
        value = function(*args, **kwargs)
    except kind as error:
        return error
    raise AssertionError(f"{function} returned {value!r}")


def check_place():
    assert migration.where() == ("eventlet" if GREEN else "threads")


def check_event_carries_a_value():
    event = ResultEvent()
    jobs = [spawn(event.wait, 5) for _ in range(3)]
    assert not event.ready()
    event.send({"a": 1})
    assert [job.wait(5) for job in jobs] == [{"a": 1}] * 3
    assert event.wait() == {"a": 1}
    assert "EA313" in str(raises(RuntimeError, event.send, 2))


def check_event_carries_an_exception():
    event = ResultEvent()
    event.send_exception(KeyError("k"))
    raises(KeyError, event.wait)


def check_event_wait_is_limited():
    event = ResultEvent()
    began = time.monotonic()
    raises(TimeoutError, event.wait, 0.05)
    assert 0.04 < time.monotonic() - began < 5
    assert event._wakers == []


def check_event_is_sent_by_an_os_thread():
    event = ResultEvent()
    real = migration._runtime.native("threading")
    real.Timer(0.05, event.send, ("from outside",)).start()
    assert event.wait(5) == "from outside"


def check_yield_gives_others_their_turn():
    order = []
    job = spawn(order.append, "job")
    if GREEN:
        assert order == []
    cooperative_yield()
    job.wait(5)
    assert order == ["job"]


def check_spawn_logs_and_does_not_raise():
    def fails():
        raise ValueError("seen in the log")

    job = spawn(fails)
    raises(ValueError, job.wait, 5)
    assert job.done()
    assert "ERROR __main__.check_spawn_logs_and_does_not_raise" in LOG.getvalue()
    assert "seen in the log" in LOG.getvalue()


def check_spawn_sees_the_context():
    variable = contextvars.ContextVar("variable", default=0)
    variable.set(7)
    assert spawn(variable.get).wait(5) == 7


def check_spawn_runs_coroutine_functions():
    async def doubled(number):
        await asyncio.sleep(0.01)
        return 2 * number

    assert spawn(doubled, 21).wait(5) == 42


def check_executor_says_that_it_queues():
    executor = Executor(2, "few", every=3600)
    gate = ResultEvent()
    futures = [executor.submit(gate.wait, 5) for _ in range(5)]
    assert executor.waiting == 3
    gate.send("open")
    assert [future.result(5) for future in futures] == ["open"] * 5
    assert executor.most == 5
    assert executor.waiting == 0
    assert LOG.getvalue().count("the executor few is full: 1 jobs wait") == 1
    assert "EA323" in LOG.getvalue()
    executor.shutdown()
    raises(RuntimeError, executor.submit, print)


def check_executor_runs_no_more_than_its_workers():
    executor, lock = Executor(3, every=3600), threading.Lock()
    state = {"now": 0, "most": 0}

    def work():
        with lock:
            state["now"] += 1
            state["most"] = max(state["most"], state["now"])
        Deadline(5).sleep(0.01)
        with lock:
            state["now"] -= 1

    with executor:
        for _ in range(12):
            executor.submit(work)
    assert state == {"now": 0, "most": 3}


def check_executor_passes_failures_on():
    with Executor(1, every=3600) as executor:
        future = executor.submit(int, "x")
        raises(ValueError, future.result, 5)
        assert isinstance(future.exception(5), ValueError)
        job = executor.spawn(int, "logged by the executor")
        raises(ValueError, job.wait, 5)
        assert "logged by the executor" in LOG.getvalue()
        gate = ResultEvent()
        executor.submit(gate.wait, 5)
        late = executor.submit(print)
        raises(concurrent.futures.TimeoutError, late.result, 0.01)
        assert late.cancel()
        gate.send()


def check_deadline_limits_each_wait():
    waits = {
        "get": lambda deadline: deadline.get(queue.Queue()),
        "put": lambda deadline: deadline.put(full, 2),
        "acquire": lambda deadline: deadline.acquire(taken),
        "event": lambda deadline: deadline.wait(threading.Event()),
        "result": lambda deadline: deadline.result(concurrent.futures.Future()),
        "result event": lambda deadline: deadline.wait(ResultEvent()),
        "join": lambda deadline: deadline.join(thread),
        "sleep": lambda deadline: deadline.sleep(60),
        "process": lambda deadline: deadline.wait(process),
        "receive": lambda deadline: deadline.limit(ours).recv(1),
        "job": lambda deadline: deadline.wait(job),
    }
    if PLACE == "green":
        # What is not patched stops the hub: its waits are eventlet's there.
        for name in ("get", "put", "acquire", "event", "result", "join", "process"):
            del waits[name]
        del waits["receive"]
    full = queue.Queue(1)
    full.put(1)
    taken = threading.Lock()
    taken.acquire()
    ours, theirs = socket.socketpair()
    gate = ResultEvent()
    job = spawn(gate.wait, 30)
    thread = threading.Thread(target=gate.wait, args=(30,), daemon=True)
    if PLACE != "green":
        thread.start()
    process = subprocess.Popen(["sleep", "30"])
    for name, wait in waits.items():
        for interrupt in (True, False):
            began = time.monotonic()
            deadline = Deadline(0.05, interrupt=interrupt)

            def block(deadline=deadline, wait=wait):
                with deadline:
                    wait(deadline)

            print("", name, interrupt, flush=True)
            error = raises(DeadlineExceeded, block)
            assert error.deadline is deadline, name
            assert 0.03 < time.monotonic() - began < 5, name
            assert deadline.expired
            assert deadline.remaining() == 0
    process.kill()
    process.wait()
    ours.close()
    theirs.close()
    gate.send()


def check_deadline_passes_what_is_there():
    jobs = queue.Queue()
    jobs.put("item")
    with Deadline(5) as deadline:
        assert deadline.get(jobs) == "item"
        deadline.put(jobs, 1)
        lock = threading.Lock()
        deadline.acquire(lock)
        assert lock.locked()
        event = threading.Event()
        event.set()
        assert deadline.wait(event) is True
        assert deadline.call(lambda timeout: 4 < timeout <= 5)
        deadline.sleep(0)
        deadline.check()
    with Deadline(None) as deadline:
        assert deadline.remaining() is None
        assert not deadline.expired
        assert deadline.get(jobs) == 1


def check_deadline_inside_another_ends_no_later():
    def inner():
        with Deadline(60) as inside:
            assert Deadline.current() is inside
            assert inside.remaining() <= 0.05
            inside.sleep(30)

    with Deadline(0.05) as outer:
        assert Deadline.current() is outer
        began = time.monotonic()
        raises(DeadlineExceeded, inner)
        assert time.monotonic() - began < 5
        assert Deadline.current() is outer
    assert Deadline.current() is None


def check_deadline_takes_the_forms_of_timeout():
    class MyError(Exception):
        pass

    def block(*args, **kwargs):
        with Deadline(*args, **kwargs) as deadline:
            deadline.sleep(30)

    raises(MyError, block, 0.01, MyError)
    given = MyError("this one")
    assert raises(MyError, block, 0.01, given) is given
    assert block(0.01, silent=True) is None
    raises(DeadlineExceeded, block, 0)
    raises(ValueError, Deadline, -1)
    raises(ValueError, Deadline, float("nan"))


def check_deadline_takes_foreign_timeouts_for_its_own():
    def block():
        with Deadline(0.02) as deadline:
            subprocess.run(["sleep", "30"], timeout=deadline.remaining(), check=False)

    if PLACE != "green":
        raises(DeadlineExceeded, block)

    def early():
        with Deadline(60):
            raise TimeoutError("of somebody else")

    assert "somebody" in str(raises(TimeoutError, early))


def check_deadline_interrupts_on_eventlet():
    if GREEN:

        def block(**kwargs):
            with Deadline(0.02, **kwargs):
                eventlet.sleep(0.2)
            return "slept"

        raises(DeadlineExceeded, block)
        assert block(interrupt=False) == "slept"


async def check_tasks():
    """What differs in a coroutine."""
    assert migration.where() == "asyncio"
    event = ResultEvent()
    assert "EA311" in str(raises(RuntimeError, event.wait))
    asyncio.get_running_loop().call_later(0.01, event.send, 5)
    assert await event == 5
    assert await event == 5

    threaded = ResultEvent()
    threading.Timer(0.01, threaded.send, ("thread",)).start()
    assert await asyncio.gather(*[wait_for(threaded) for _ in range(3)]) == (
        ["thread"] * 3
    )

    cancelled = ResultEvent()
    task = asyncio.ensure_future(wait_for(cancelled))
    await cooperative_yield()
    task.cancel()
    await asyncio.wait([task])
    assert cancelled._wakers == []

    job = spawn(asyncio.sleep, 0.01, "slept")
    assert await job == "slept"
    assert await spawn(threading.get_ident) != threading.get_ident()

    async def fails():
        raise ValueError("a coroutine in the log")

    job = spawn(fails)
    try:
        await job
    except ValueError:
        pass
    assert "a coroutine in the log" in LOG.getvalue()

    with Executor(2, "aside", every=3600) as executor:
        assert await executor.run(sum, [1, 2]) == 3
    order = []
    asyncio.get_running_loop().call_soon(order.append, 1)
    await cooperative_yield()
    assert order == [1]

    for block in (expires, expires_silently, keeps_foreign_cancellation, nested):
        await block()
    for call in (
        lambda: Deadline(1).get(queue.Queue()),
        lambda: Deadline(1).__enter__(),
    ):
        raises(RuntimeError, call)


async def wait_for(awaitable):
    return await awaitable


async def expires():
    deadline = Deadline(0.02)
    try:
        async with deadline:
            await asyncio.sleep(30)
    except DeadlineExceeded as error:
        assert error.deadline is deadline
    else:
        raise AssertionError
    try:
        await Deadline(0.02).wait_for(asyncio.sleep(30))
    except DeadlineExceeded:
        pass
    else:
        raise AssertionError
    async with Deadline(5) as deadline:
        assert await deadline.wait_for(asyncio.sleep(0, "value")) == "value"


async def expires_silently():
    async with Deadline(0.02, silent=True):
        await asyncio.sleep(30)


async def nested():
    began = time.monotonic()
    try:
        async with Deadline(0.05), Deadline(60) as inner:
            assert inner.remaining() <= 0.05
            await asyncio.sleep(30)
    except DeadlineExceeded:
        assert time.monotonic() - began < 5
    else:
        raise AssertionError


async def keeps_foreign_cancellation():
    async def block():
        async with Deadline(30):
            await asyncio.sleep(30)

    task = asyncio.ensure_future(block())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


def main():
    if PLACE == "asyncio":
        asyncio.run(check_tasks())
        return
    for name, check in list(globals().items()):
        if name.startswith("check_") and name != "check_tasks":
            print(name, flush=True)
            check()
    if PLACE == "threads":
        assert not {"eventlet", "greenlet"} & set(sys.modules)


main()
