"""
A hub with nothing to do sleeps for ever: it does not wake up to look around, whatever it has
done before, whether it runs its own loop, is run by ``asyncio.run()``, or has none.
"""

# loops: uvloop

import asyncio
import os
import threading
import time
from pathlib import Path

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, spawn_for_awaitable
from eventlet.event import Event
from eventlet.hubs import trampoline

# A turn that comes back once a second would be seen.
SECONDS = 1.2
STATUS = Path(f"/proc/self/task/{threading.get_native_id()}/status")


def wake_ups():
    """Return how often the main OS thread has gone to sleep so far."""
    (line,) = (it for it in STATUS.read_text().splitlines() if it.startswith("volunt"))
    return int(line.split()[1])


async def double(value):
    await asyncio.sleep(0.001)
    return value * 2


async def endless():
    await asyncio.get_running_loop().create_future()


def use():
    """Do all that could leave something behind that ticks."""
    left, right = os.pipe()
    reader = eventlet.spawn(trampoline, left, read=True, timeout=60)
    eventlet.sleep(0)
    os.write(right, b"x")
    reader.wait()
    os.close(left)
    os.close(right)
    with eventlet.Timeout(60):
        eventlet.sleep(0.001)
    eventlet.spawn_after(60, print).cancel()
    eventlet.spawn(eventlet.sleep, 60).kill()
    if hasattr(hubs.get_hub(), "loop"):
        assert await_(double(2)) == 4
        assert asyncio.run(double(3)) == 6
        assert eventlet.spawn(asyncio.run, double(4)).wait() == 8
        kept.append(spawn_for_awaitable(endless()))
        kept.append(eventlet.spawn(asyncio.run, endless()))
    kept.append(eventlet.spawn(Event().wait))
    eventlet.sleep(0.001)


def woken_after(send):
    """Have another OS thread end the wait, which reads the counters just before."""
    counters = []

    def end():
        # Whoever is about to sleep gets the time for it.
        time.sleep(0.2)
        counters.append(wake_ups())
        time.sleep(SECONDS)
        counters.append(wake_ups())
        send()

    thread = threading.Thread(target=end)
    thread.start()
    return counters, thread


def check(counters, name):
    before, after = counters
    # Another OS thread has read them: the main one had no need to run at all.
    assert after == before, (name, after - before)


kept = []
for driver in ("asyncio", "poll", "asyncio"):
    if driver != "asyncio" or kept:
        hubs.use_hub(driver)
    use()
    assert hubs.get_hub().get_timers_count() == hubs.get_hub().timers_canceled, driver
    event = Event()
    counters, thread = woken_after(lambda event=event: event.send(None))
    event.wait()
    thread.join()
    check(counters, driver)


async def main():
    green = eventlet.spawn(Event().wait)
    event_loop = asyncio.get_running_loop()
    done = asyncio.Event()
    assert await eventlet.spawn(len, "abc") == 3
    counters, thread = woken_after(lambda: event_loop.call_soon_threadsafe(done.set))
    await done.wait()
    thread.join()
    green.kill()
    return counters


check(asyncio.run(main()), "adopted")
print("pass")
