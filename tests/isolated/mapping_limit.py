"""
A green thread for which no stack is left ends in MemoryError, and the process goes on.

Guards made by mprotect take two memory mappings a stack.
"""

# env: EVENTLET_ASYNCIO_STACK_GUARD=mprotect

import gc
import subprocess
import sys

import eventlet
from eventlet import hubs
from eventlet_asyncio import _core

with open("/proc/sys/vm/max_map_count") as setting:
    LIMIT = int(setting.read())
if LIMIT > 200_000:
    print("vm.max_map_count is", LIMIT, "here: that takes too long to reach")
    print("pass")
    sys.exit(0)

hubs.get_hub().debug_exceptions = False
parked = []


def park():
    parked.append(1)
    eventlet.sleep(1000)


greens = []
refused = None
while refused is None:
    batch = [eventlet.spawn(park) for _ in range(1000)]
    greens += batch
    eventlet.sleep(0)
    while len(parked) < len(greens) and refused is None:
        eventlet.sleep(0)
        refused = next((green for green in batch if green.dead), None)
    assert len(greens) * 2 <= LIMIT + 4000

try:
    refused.wait()
except MemoryError as error:
    assert "vm.max_map_count" in str(error), error
    assert str(LIMIT) in str(error), error
else:
    raise AssertionError(refused)
# So do the raw greenlets, in the code that starts one.
import greenlet  # noqa: E402 - not needed before

try:
    greenlet.greenlet(len).switch(())
except MemoryError as error:
    assert "vm.max_map_count" in str(error), error
else:
    raise AssertionError

# What is not a stack can still be mapped: memory, threads, programs.
block = bytearray(200_000_000)
subprocess.run([sys.executable, "-c", "print(1)"], check=True, capture_output=True)
del block, batch

for green in greens:
    green.kill()
del green, greens, refused
gc.collect()
assert _core._stack_statistics()["in_use"] <= 1, _core._stack_statistics()
assert [eventlet.spawn(len, "abc").wait() for _ in range(100)] == [3] * 100
print("pass")
