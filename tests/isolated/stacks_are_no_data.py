"""
Stacks that are reserved do not count against RLIMIT_DATA: with the limit that some services
set for themselves, 2 GiB, many thousands of green threads wait, and memory is left for others.
"""

import resource

import eventlet
from eventlet_asyncio import _core

COUNT = 2000
MIB = 1 << 20


def data():
    """Return the bytes that the kernel counts."""
    with open("/proc/self/status") as file:
        (line,) = (line for line in file if line.startswith("VmData:"))
    return int(line.split()[1]) << 10


def wait(event):
    """Wait, with a frame that reaches deep into the stack."""
    eval("+".join(["1"] * 1000))
    event.wait()


eventlet.sleep(0)
before = data()
resource.setrlimit(resource.RLIMIT_DATA, (2048 * MIB, resource.RLIM_INFINITY))
event = eventlet.Event()
waiting = [eventlet.spawn(wait, event) for _ in range(COUNT)]
eventlet.sleep(0)
used = data() - before
statistics = _core._stack_statistics()
print(f"{used / MIB:.0f} MiB for {COUNT} green threads, {statistics}")
assert statistics["in_use"] >= COUNT
assert used < 64 * MIB, "stacks count as data"
assert len(compile("a = 1\n" * 20000, "large", "exec").co_consts) == 2
assert len(bytearray(512 * MIB)) == 512 * MIB
event.send()
for green_thread in waiting:
    green_thread.wait()
print("pass")
