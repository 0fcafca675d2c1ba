"""
A coroutine of the hub's loop forks, and goes on in both processes: sleeps, futures, green
threads. In the child other tasks neither run nor are reported, main and green threads go on.
"""
# loops: uvloop

import asyncio
import gc
import os

import eventlet
from eventlet import hubs
from eventlet.asyncio import spawn_for_awaitable
from eventlet.event import Event

parent = os.getpid()
log = []
wakes = Event()


async def beat():
    try:
        while True:
            log.append(os.getpid())
            await asyncio.sleep(0.001)
    finally:
        log.append(os.getpid())


async def blocks():
    wakes.wait()
    log.append(os.getpid())


async def awaits(green):
    await green
    log.append(os.getpid())


def late():
    eventlet.sleep(0.02)
    return "late"


async def work():
    green = eventlet.spawn(late)
    tasks = [asyncio.create_task(coro) for coro in (beat(), blocks(), awaits(green))]
    await asyncio.sleep(0.005)
    assert log
    task = asyncio.current_task()
    loop = asyncio.get_running_loop()
    pid = os.fork()
    if pid == 0:
        log.clear()
    assert asyncio.current_task() is task
    assert asyncio.get_running_loop() is loop
    await asyncio.sleep(0.005)
    eventlet.sleep(0.005)
    # The green thread's timer was pending at the fork.
    assert await green == "late"
    wakes.send()
    assert await asyncio.gather(asyncio.sleep(0.01, 1), asyncio.sleep(0.02, 2)) == [
        1,
        2,
    ]
    assert await loop.run_in_executor(None, int, "3") == 3
    assert await eventlet.spawn(lambda: (eventlet.sleep(0.001), 4)[1]) == 4
    if pid:
        assert log.count(parent) == len(log) > 4
        for other in tasks:
            other.cancel()
        await asyncio.wait(tasks)
    else:
        assert log == [], log
        assert asyncio.all_tasks() == {task}
    return pid


for _ in range(2):
    wakes = Event()
    pid = spawn_for_awaitable(work()).wait()
    if pid == 0:
        # Main goes on as well, with the loop and with others.
        async def later():
            await asyncio.sleep(0.001)
            eventlet.sleep(0.001)
            return 5

        assert spawn_for_awaitable(later()).wait() == 5
        assert asyncio.run(later()) == 5
        hubs.use_hub("asyncio")
        assert spawn_for_awaitable(later()).wait() == 5
        gc.collect()
        raise SystemExit(7)
    with eventlet.Timeout(20):
        while (status := os.waitpid(pid, os.WNOHANG))[0] == 0:
            eventlet.sleep(0.01)
    assert os.waitstatus_to_exitcode(status[1]) == 7, status
    log.clear()


# Of a loop that the application runs, the child's coroutine ends as with asyncio alone.
async def plain():
    pid = os.fork()
    if pid == 0:
        assert asyncio._get_running_loop() is None
        eventlet.sleep(0.001)
        assert eventlet.spawn(lambda: 5).wait() == 5
    return pid


pid = asyncio.run(plain())
if pid == 0:
    assert eventlet.spawn(lambda: 5).wait() == 5
    os._exit(3)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 3
print("pass")
