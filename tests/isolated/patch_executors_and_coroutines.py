"""
Coroutines and executors in a patched process: results, errors and cancellations go both ways,
between the hub's loop, loops of green threads, and OS threads of the pool.
"""

# loops: uvloop

# ruff: noqa: E402 (when what is imported is the subject)

import eventlet

eventlet.monkey_patch()
import asyncio
from concurrent import futures

from eventlet.asyncio import await_, spawn_for_awaitable

native_id = eventlet.patcher.original("threading").get_native_id
NativeEvent = eventlet.patcher.original("threading").Event
main_id = native_id()
event_loop = eventlet.hubs.get_hub().loop


def work(value):
    assert native_id() != main_id
    if value is None:
        raise ZeroDivisionError
    return value * 2


async def double(value):
    await asyncio.sleep(0)
    assert native_id() == main_id
    return value * 2


async def awaits(pool):
    """Results and errors of the pool reach the coroutine on its own loop."""
    loop = asyncio.get_running_loop()
    calls = [loop.run_in_executor(pool, work, number) for number in range(5)]
    found = await asyncio.gather(*calls)
    found.append(await asyncio.wrap_future(pool.submit(work, 5)))
    found.append(await asyncio.to_thread(work, 6))
    try:
        await loop.run_in_executor(pool, work, None)
    except ZeroDivisionError:
        found.append("error")
    # Cancelled before its turn the call is never made.
    release = NativeEvent()
    blockers = [pool.submit(release.wait, 30) for _ in range(2)]
    source = pool.submit(work, 7)
    waiting = asyncio.wrap_future(source)
    waiting.cancel()
    await asyncio.wait([waiting])
    await asyncio.sleep(0)
    found.append(source.cancelled())
    release.set()
    for blocker in blockers:
        await asyncio.wrap_future(blocker)
    return found


EXPECTED = [0, 2, 4, 6, 8, 10, 12, "error", True]


def asks_the_hubs_loop():
    """An OS thread of the pool has coroutines run on the hub's loop."""
    assert native_id() != main_id
    found = [asyncio.run_coroutine_threadsafe(double(4), event_loop).result(30)]
    endless = asyncio.run_coroutine_threadsafe(asyncio.sleep(60), event_loop)
    endless.cancel()
    try:
        endless.result(30)
    except futures.CancelledError:
        found.append("cancelled")
    return found


with futures.ThreadPoolExecutor(2) as pool:
    for _ in range(3):
        assert await_(awaits(pool)) == EXPECTED
        assert asyncio.run(awaits(pool)) == EXPECTED
        several = [eventlet.spawn(asyncio.run, double(n)) for n in range(3)]
        assert eventlet.spawn(asyncio.run, awaits(pool)).wait() == EXPECTED
        assert [green.wait() for green in several] == [0, 2, 4]
        assert pool.submit(asks_the_hubs_loop).result(30) == [8, "cancelled"]
    # A kill reaches the pool through the future.
    release = NativeEvent()
    blockers = [pool.submit(release.wait, 30) for _ in range(2)]
    source = pool.submit(work, 1)
    green = spawn_for_awaitable(asyncio.wrap_future(source, loop=event_loop))
    eventlet.sleep(0)
    green.kill()
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert source.cancelled()
    release.set()
    assert all(blocker.result() for blocker in blockers)
print("pass")
