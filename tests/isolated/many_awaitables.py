"""
Green threads for coroutines, again and again: no task, green thread, future, traceback or
descriptor is left, whether they return, fail, or are killed before or while they run.

``STRESS_SPAWNS`` says how often.
"""

# loops: uvloop

import asyncio
import contextlib
import gc
import os
import types

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, spawn_for_awaitable
from eventlet_asyncio import _core

SPAWNS = int(os.environ.get("STRESS_SPAWNS", "20000")) // 10
ROUND = 1_000


class Boom(Exception):
    """What half of the coroutines raise."""


async def returns():
    await asyncio.sleep(0)
    return await eventlet.spawn(len, "abc")


async def raises():
    await asyncio.sleep(0)
    raise Boom


async def waits():
    await asyncio.get_running_loop().create_future()


async def awaits_in_vain():
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(eventlet.spawn(eventlet.sleep, 100), 0.0001)


def one_round():
    greens = []
    for number in range(ROUND // 5):
        greens.append(spawn_for_awaitable(returns()))
        failing = [spawn_for_awaitable(raises()) for _ in range(2)]
        killed = [spawn_for_awaitable(waits()) for _ in range(2)]
        if number % 2:
            eventlet.sleep(0)
        for green in killed:
            green.kill()
        for green in failing:
            with contextlib.suppress(Boom):
                green.wait()
        if number % 10 == 0:
            await_(awaits_in_vain())
    for green in greens:
        assert green.wait() == 3
    for _ in range(3):
        eventlet.sleep(0)


def state():
    gc.collect()
    kinds = (
        *(_core.GreenThread, _core.GreenFuture, _core.GreenCoroutine, asyncio.Future),
        *(Boom, types.CoroutineType, types.TracebackType, types.FrameType),
    )
    return (
        sum(isinstance(it, kinds) for it in gc.get_objects()),
        len(asyncio.all_tasks(hubs.get_hub().loop)),
        len(os.listdir("/proc/self/fd")),
        _core._stack_statistics()["in_use"],
        _core._stack_statistics()["mapped"],
    )


for _ in range(3):
    one_round()
before, objects = state(), len(gc.get_objects())
for _ in range(max(1, SPAWNS // ROUND)):
    one_round()
after = state()
assert after == before, (before, after)
# Caches of the interpreter's come and go; a leak would be one for each spawn.
assert len(gc.get_objects()) - objects < 500, len(gc.get_objects()) - objects
print("pass")
