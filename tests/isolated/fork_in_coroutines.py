"""
fork() in a coroutine, of the hub's loop or of one that green code or main runs, while other
OS threads have hubs: the parent's tasks go on, and the child may use green threads, and loops
of its own.
"""

# loops: uvloop

import asyncio
import os
import threading

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, spawn_for_awaitable
from eventlet.event import Event


def in_child(check):
    """Run the check in a forked child and return how that ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


async def double(value):
    await asyncio.sleep(0.001)
    return value * 2


def works():
    """Use green threads and loops."""
    seen = []
    late = eventlet.spawn_after(0.01, seen.append, "late")
    eventlet.spawn(seen.append, "soon").wait()
    late.wait()
    assert seen == ["soon", "late"], seen
    assert await_(double(2)) == 4
    assert spawn_for_awaitable(double(3)).wait() == 6
    assert eventlet.spawn(asyncio.run, double(4)).wait() == 8
    hubs.use_hub()
    assert await_(double(5)) == 10


async def forks():
    before = await double(1)
    statuses = [in_child(works), in_child(works)]
    # The loop goes on, with all that was registered.
    assert await double(before) == 4
    assert await eventlet.spawn(in_child, works) == 0
    assert await double(2) == 4
    return statuses


def with_other_hubs():
    ready, over = threading.Semaphore(0), threading.Event()

    def body():
        async def beat():
            ready.release()
            while not over.is_set():  # noqa: ASYNC110 - of another OS thread
                await asyncio.sleep(0.005)
            return "alive"

        results.append(await_(beat()))

    results = []
    threads = [threading.Thread(target=body) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    statuses = everywhere()
    over.set()
    for thread in threads:
        thread.join()
    assert results == ["alive", "alive"], results
    return statuses


def everywhere():
    statuses = spawn_for_awaitable(forks()).wait()
    statuses += eventlet.spawn(asyncio.run, forks()).wait()
    statuses += asyncio.run(forks())
    return statuses


assert asyncio.run(forks()) == [0, 0]
assert everywhere() == [0] * 6
assert with_other_hubs() == [0] * 6

# A green thread that waits meanwhile is where it was.
event = Event()
waiter = eventlet.spawn(event.wait)
spawn_for_awaitable(forks()).wait()
event.send("sent")
assert waiter.wait() == "sent"
works()
print("pass")
