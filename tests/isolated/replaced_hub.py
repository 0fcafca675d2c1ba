"""
use_hub() and close() end the former hub: its loop and descriptors are closed, and a green
thread that was parked on it can still be killed.
"""

# loops: uvloop

import asyncio
import gc
import os
import socket

import eventlet
from eventlet import hubs
from eventlet.asyncio import spawn_for_awaitable
from eventlet.event import Event
from eventlet.hubs import trampoline

NAMES = ["poll", "asyncio", "epolls", "asyncio", "asyncio", "selects", None]


def parked_everywhere(log):
    left, right = socket.socketpair()
    event = Event()
    waits = {
        "sleep": lambda: eventlet.sleep(100),
        "descriptor": lambda: trampoline(left, read=True, timeout=100),
        "event": lambda: event.wait(100),
        "timeout": lambda: eventlet.with_timeout(100, event.wait),
    }

    def wait(name):
        try:
            waits[name]()
        finally:
            log.append(name)

    greens = {name: eventlet.spawn(wait, name) for name in waits}
    eventlet.sleep(0)
    return greens, (left, right)


async def numbers(ended):
    try:
        yield 1
    finally:
        await asyncio.sleep(0)
        ended.append("generator")


async def suspended(ended):
    generator = numbers(ended)
    await generator.__anext__()
    try:
        await asyncio.sleep(100)
    finally:
        await asyncio.sleep(0)
        ended.append("task")


def once(name):
    log = []
    greens, sockets = parked_everywhere(log)
    former = hubs.get_hub()
    loop = getattr(former, "loop", None)
    ended = []
    if loop is not None:
        spawn_for_awaitable(suspended(ended))
        eventlet.sleep(0)
    hubs.use_hub(name)
    assert ended == (["task", "generator"] if loop else []), ended
    assert hubs.get_hub() is not former
    assert loop is None or loop.is_closed()
    # Memory of the former hub is used again, if it was given up too early.
    clutter = [bytearray(size) for size in range(64, 4096, 16)]
    for green in greens.values():
        green.kill()
    assert log == list(greens), log
    assert len(clutter) > 100
    for end in sockets:
        end.close()
    assert eventlet.spawn(len, "abc").wait() == 3
    try:
        former.switch()
    except RuntimeError as error:
        assert "closed" in str(error), error
    else:
        raise AssertionError


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


for name in NAMES:
    once(name)
before = descriptors()
for _ in range(5):
    for name in NAMES:
        once(name)
assert descriptors() == before, (before, descriptors())

# In a green thread, too.
eventlet.spawn(once, "asyncio").wait()
hubs.get_hub().close()
assert eventlet.spawn(len, "abc").wait() == 3

# A hub cannot end where its own end could not come back.
refused = []


def replace():
    try:
        hubs.use_hub("poll")
    except RuntimeError as error:
        refused.append(str(error))


hubs.use_hub("asyncio")
hubs.get_hub().schedule_call_global(0, replace)
eventlet.sleep(0.01)
assert "callback" in refused[0], refused

print("pass")
