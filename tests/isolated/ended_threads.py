"""
An OS thread that ends leaves nothing behind: its hub is closed, its green threads that
nobody knows run their cleanup, and those that somebody keeps are dead weight but no danger.
"""

# loops: uvloop

import functools
import gc
import os
import socket
import threading

import eventlet
import greenlet
from eventlet import hubs
from eventlet.hubs import trampoline
from eventlet_asyncio import _core

ROUNDS = 20
cleaned = []
refused = []
kept = []


def suspended(how):
    try:
        how()
    finally:
        cleaned.append(1)
        try:
            eventlet.sleep(0)
        except greenlet.error as error:
            refused.append(str(error))


def body(keep):
    left, right = socket.socketpair()
    greens = [
        eventlet.spawn(suspended, lambda: eventlet.sleep(100)),
        eventlet.spawn(suspended, lambda: trampoline(left, read=True, timeout=100)),
        eventlet.spawn(suspended, lambda: hubs.get_hub().switch()),
    ]
    eventlet.spawn_n(suspended, lambda: eventlet.sleep(100))
    eventlet.spawn_after(100, print)
    eventlet.sleep(0)
    if keep:
        kept.extend(greens[:2])
        kept.append(hubs.get_hub())
    left.close()
    right.close()


def run(keep):
    thread = threading.Thread(target=body, args=(keep,))
    thread.start()
    thread.join()


def state():
    gc.collect()
    return len(os.listdir("/proc/self/fd")), _core._stack_statistics()["in_use"]


hubs.get_hub()
run(keep=False)
before = state()
cleaned.clear()
refused.clear()
for _ in range(ROUNDS):
    run(keep=False)
assert state() == before, (before, state())
assert len(cleaned) == 4 * ROUNDS, len(cleaned)
# One was not waited for by its hub, so it ended with its last reference, in time.
assert len(refused) == 3 * ROUNDS, len(refused)
assert "ending" in refused[0], refused[0]

run(keep=True)
green, hub = kept[0], kept[-1]
assert green.dead
for attempt in (green.switch, green.throw):
    try:
        attempt()
    except greenlet.error as error:
        assert "exited" in str(error), error
    else:
        raise AssertionError(attempt)
green.kill()
for use in (
    hub.switch,
    hub.run,
    functools.partial(hub.schedule_call_global, 0, print),
):
    try:
        use()
    except RuntimeError:
        pass
    else:
        raise AssertionError(use)
del green, hub, attempt, use
kept.clear()
after = state()
assert after == before, (before, after)
assert eventlet.spawn(len, "abc").wait() == 3
print("pass")
