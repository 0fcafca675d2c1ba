"""
A failed allocation on the way of a switch, a wait or a spawn is a MemoryError, wherever it is.

Each operation is made again and again, in a process of its own, with another allocation
failing each time, first of all by itself, then after it has been made before.
"""

# needs: _testcapi

import subprocess
import sys
import threading
import time

# Each line is an operation; what it leaves behind is its own.
OPERATIONS = {
    "sleep": "eventlet.sleep(0)",
    "sleep for a while": "eventlet.sleep(0.0001)",
    "spawn": "eventlet.spawn(work)",
    "spawn and wait": "eventlet.spawn(work).wait()",
    "spawn_n": "eventlet.spawn_n(work)",
    "spawn_after": "eventlet.spawn_after(0.0001, work).wait()",
    "kill": "eventlet.spawn(eventlet.sleep, 60).kill()",
    "link": "eventlet.spawn(work).link(work)",
    "put": "q.put_nowait(1) if q.empty() else None",
    "get": "q.get_nowait() if q.qsize() else None",
    "put and get": "eventlet.spawn(queue.LightQueue(0).get).kill()",
    "event": "event.Event().send(1)",
    "event and waiter": "e = event.Event(); eventlet.spawn(e.send, 1); e.wait()",
    "semaphore": "s.acquire(timeout=0)",
    "semaphore with a timeout": "s.acquire(timeout=0.0001)",
    "timeout": """
with eventlet.Timeout(0.0001, False): eventlet.sleep(1)
""",
    "greenlet": "greenlet.greenlet(work).switch()",
    "greenlet and back": "greenlet.greenlet(lambda: greenlet.getcurrent().parent.switch()).switch()",
    "throw": """
try: greenlet.greenlet(work).throw(KeyError)
except KeyError: pass
""",
    "trampoline": "trampoline(writes.fileno(), write=True)",
    "trampoline with a timeout": """
try: trampoline(reads.fileno(), read=True, timeout=0.0001)
except eventlet.Timeout: pass
""",
    "socket": "writes.send(b'x'); reads.recv(1)",
    "socket that waits": "eventlet.spawn(writes.send, b'x'); reads.recv(1)",
    "timer": "hubs.get_hub().schedule_call_global(0, work); eventlet.sleep(0)",
    "lock": """
with green_threading.Lock(): pass
with green_threading.RLock(): pass
""",
    "local": "local.x = 1; local.x",
}
PROGRAM = """
import _testcapi, sys
import eventlet, greenlet
from eventlet import corolocal, event, hubs, queue, semaphore
import eventlet.debug
from eventlet.green import socket, threading as green_threading
from eventlet.hubs import trampoline
sys.unraisablehook = lambda _: None
eventlet.debug.hub_exceptions(False)
if {hub!r} != "asyncio": hubs.use_hub({hub!r})
def work(*_):
    try: eventlet.sleep(0)
    except MemoryError: pass
q, s, local = queue.Queue(1), semaphore.Semaphore(0), corolocal.local()
pool = eventlet.GreenPool(2)
reads, writes = socket.socketpair()
eventlet.sleep(0)
operation = compile({operation!r}, "operation", "exec")
names = dict(globals())
exec(operation, names)
set_nomemory, remove = _testcapi.set_nomemory, _testcapi.remove_mem_hooks
seen = 0
if {warm}: exec(operation, names)
for first in range({count}):
    set_nomemory(first, first + 1)
    try:
        try: exec(operation, names)
        finally: remove()
    except MemoryError: seen += 1
    except BaseException as error:
        print(first, type(error).__name__, error, flush=True)
# All is as it was.
s.release(); assert s.acquire(timeout=5)
assert eventlet.spawn(abs, -1).wait() == 1
print("survived", seen)
"""


def try_one(operation, hub):
    """Run the program for one operation."""
    program = PROGRAM.format(
        operation=OPERATIONS[operation], hub=hub, count=COUNT, warm=True
    )
    try:
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", program],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    except subprocess.TimeoutExpired:
        bad.append((operation, hub, "no end"))
        return
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 1:
        bad.append((operation, hub, done.returncode, lines[:4], done.stderr[-3000:]))


def run():
    """Try what is left."""
    while left:
        try_one(*left.pop())


COUNT = 80
bad = []
chosen = sys.argv[1:] or OPERATIONS
left = [(operation, hub) for operation in chosen for hub in ("asyncio", "poll")]
threads = [threading.Thread(target=run) for _ in range(2)]
begun = time.monotonic()
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for each in bad:
    print(*each)
assert not bad, len(bad)
print("pass")
