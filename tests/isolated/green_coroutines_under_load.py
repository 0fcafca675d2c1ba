"""
Thousands of green coroutines that block, are cancelled, time out and fail at random leave
nothing behind: no task, no stack, no reference.
"""

import asyncio
import gc
import os
import random

import eventlet
import eventlet.asyncio
import greenlet
from eventlet import greenthread
from eventlet.queue import Queue
from eventlet.semaphore import Semaphore
from eventlet_asyncio import _core

chance = random.Random(5)
COUNT = int(os.environ.get("STRESS_SPAWNS", "3000"))


class Failed(Exception):
    """Raised by some of the coroutines."""


def child():
    eventlet.sleep(chance.choice((0, 0.0005)))
    return greenlet.getcurrent().parent.switch("from a child")


async def work(semaphore, queue, ended):
    try:
        for _ in range(chance.randrange(6)):
            what = chance.randrange(9)
            if what == 0:
                eventlet.sleep(chance.choice((0, 0.0005)))
            elif what == 1:
                await asyncio.sleep(chance.choice((0, 0.0005)))
            elif what == 2:
                with semaphore:
                    await asyncio.sleep(0)
            elif what == 3:
                queue.put(1)
            elif what == 4:
                with eventlet.Timeout(0.0005, False):
                    queue.get()
            elif what == 5:
                assert await eventlet.spawn(eventlet.sleep, 0) is None
            elif what == 6:
                assert greenlet.greenlet(child).switch() == "from a child"
            elif what == 7:
                with eventlet.Timeout(0.0005, False):
                    await asyncio.sleep(1)
            else:
                assert greenthread.getcurrent() is greenthread.getcurrent()
        if chance.randrange(10) == 0:
            raise Failed
    finally:
        ended.append(1)


async def main():
    semaphore, queue, ended = Semaphore(3), Queue(), []
    begun = 0
    while begun < COUNT:
        tasks = [asyncio.create_task(work(semaphore, queue, ended)) for _ in range(100)]
        begun += len(tasks)
        await asyncio.sleep(0)
        for task in chance.sample(tasks, 20):
            task.cancel()
            if chance.randrange(2):
                await asyncio.sleep(0)
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            assert result is None or isinstance(
                result, (Failed, asyncio.CancelledError)
            ), result
    assert semaphore.counter == 3, semaphore
    assert asyncio.all_tasks() == {asyncio.current_task()}


for _ in range(2):
    eventlet.asyncio.run(main())
    eventlet.sleep(0.01)
    gc.collect()
    in_use = _core._stack_statistics()["in_use"]
    left = [o for o in gc.get_objects() if type(o) is _core.GreenCoroutine]
    assert left == [], left[:3]
# The hub greenlet's, and of the steppers that are kept.
assert in_use <= 1 + 16, in_use
print("pass")
