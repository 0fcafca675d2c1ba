"""
Spawning again and again leaks no object, no descriptor, no stack and no memory.

``STRESS_SPAWNS`` says how often; a million is what the stress session asks for.
"""

import contextlib
import gc
import os

import eventlet
from eventlet_asyncio import _core

SPAWNS = int(os.environ.get("STRESS_SPAWNS", "60000"))
ROUND = 2_000


class Boom(Exception):
    """What half of the green threads raise."""


def quiet():
    return 1


def waits(seconds):
    eventlet.sleep(seconds)


def raises():
    raise Boom


def one_round():
    greens = []
    for number in range(ROUND // 4):
        greens.append(eventlet.spawn(quiet))
        greens.append(eventlet.spawn(waits, 0))
        eventlet.spawn_n(quiet)
        late = eventlet.spawn_after(100, quiet)
        late.cancel()
        if number % 10 == 0:
            failing = eventlet.spawn(raises)
            with contextlib.suppress(Boom):
                failing.wait()
    for green in greens:
        green.wait()
    victim = eventlet.spawn(waits, 100)
    eventlet.sleep(0)
    victim.kill()


def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def state():
    gc.collect()
    return (
        len(gc.get_objects()),
        len(os.listdir("/proc/self/fd")),
        _core._stack_statistics()["in_use"],
        _core._stack_statistics()["mapped"],
    )


for _ in range(3):
    one_round()
before, memory = state(), resident()
for _ in range(max(1, SPAWNS // ROUND)):
    one_round()
after = state()
assert after[1:] == before[1:], (before, after)
# Caches of the interpreter's come and go; a leak would be one for each spawn.
assert abs(after[0] - before[0]) < 1000, (before, after)
assert resident() - memory < 4_000_000, resident() - memory
print("pass")
