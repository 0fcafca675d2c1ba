"""
Under asyncio.run() green threads run on that loop, beside its coroutines; they stay
suspended between two runs, and the second run takes them on.
"""

# loops: uvloop

import asyncio
import os
import signal

import eventlet
from eventlet import hubs

log = []


def count(name, number):
    for step in range(number):
        log.append((name, step))
        eventlet.sleep(0.001)
    return name


async def wait_for(green):
    """Wait for a green thread without its being awaitable."""
    ended = asyncio.Event()
    green.link(lambda _green: ended.set())
    await ended.wait()
    return green.wait()


async def first():
    loop = asyncio.get_running_loop()
    assert hubs.get_hub().loop is loop
    greens = [eventlet.spawn(count, name, 3) for name in "ab"]
    assert [await wait_for(green) for green in greens] == ["a", "b"]
    assert log == [(name, step) for step in range(3) for name in "ab"], log
    eventlet.sleep(0)
    # Nothing of the hub's is a task.
    assert asyncio.all_tasks() == {asyncio.current_task()}
    # Blocking calls suspend this task.
    eventlet.sleep(0.001)
    assert eventlet.spawn(eventlet.sleep, 0.001).wait() is None
    assert asyncio.get_running_loop() is loop
    hidden = eventlet.spawn(asyncio._get_running_loop)
    assert await wait_for(hidden) is None

    # A green thread may be killed from a coroutine, and ends before kill() returns.
    ended = []

    def victim():
        try:
            eventlet.sleep(100)
        finally:
            ended.append(1)

    green = eventlet.spawn(victim)
    await asyncio.sleep(0.01)
    green.kill()
    assert ended == [1]

    # The hub of a loop that it did not start cannot be replaced under it.
    def replace():
        try:
            hubs.use_hub("poll")
        except RuntimeError as error:
            return str(error)

    assert "asyncio.run()" in await wait_for(eventlet.spawn(replace))
    return eventlet.spawn(count, "later", 20)


async def second(green):
    # Any green call makes the hub take this loop on.
    assert await wait_for(eventlet.spawn(len, "abc")) == 3
    assert await wait_for(green) == "later"


async def interrupted():
    eventlet.spawn_after(0.01, os.kill, os.getpid(), signal.SIGINT)
    await asyncio.sleep(10)


later = asyncio.run(first())
assert not later.dead
asyncio.run(second(later))
try:
    asyncio.run(interrupted())
except KeyboardInterrupt:
    log.append("interrupted")
assert log[-1] == "interrupted"
# Without a loop of the application's the hub runs one of its own.
assert eventlet.spawn(count, "end", 2).wait() == "end"
print("pass")
