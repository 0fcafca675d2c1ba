"""
A failed allocation on the way of a switch, a wait or a spawn is a MemoryError, wherever it is.

Each operation is made again and again, in a process of its own, with another allocation
failing each time. Of operations of asyncio, and of those written in Python, only that the
process survives and the hub goes on is asked: asyncio logs a callback that fails, and what
was to come after it never does.
"""

# needs: _testcapi

import subprocess
import sys
import threading

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
    "second reader": """
g = eventlet.spawn(reads.recv, 1)
eventlet.sleep(0)
try: trampoline(reads.fileno(), read=True)
except RuntimeError: pass
finally: writes.send(b"x"); g.wait()
""",
    "closed descriptor": """
try: trampoline(987, read=True)
except OSError: pass
""",
    "pool": "GreenPool(2).spawn(work).wait()",
    "pool without results": "p = GreenPool(2); p.spawn_n(work); p.waitall()",
    "pool that is full": """
p = GreenPool(2)
for _ in range(4): p.spawn_n(work)
p.waitall()
""",
    "imap": "list(GreenPool(2).imap(abs, [1, 2, 3]))",
    "pile": "p = GreenPile(2); p.spawn(abs, 1); list(p)",
    "tpool": "tpool.execute(abs, -1)",
    "tpool that raises": """
try: tpool.execute({}.__getitem__, 1)
except KeyError: pass
""",
    "tpool and another": "g = eventlet.spawn(tpool.execute, abs, -1); eventlet.sleep(0); g.wait()",
    "tpool, killed": "g = eventlet.spawn(tpool.execute, time.sleep, 0.001); eventlet.sleep(0); g.kill()",
}
ASYNCIO = {
    "coroutine": "spawn_for_awaitable(nothing()).wait()",
    "coroutine that waits": "spawn_for_awaitable(asyncio.sleep(0)).wait()",
    "coroutine that sleeps": "spawn_for_awaitable(asyncio.sleep(0.0001)).wait()",
    "coroutine, killed": "g = spawn_for_awaitable(asyncio.sleep(60)); eventlet.sleep(0); g.kill()",
    "coroutine that fails": """
try: spawn_for_awaitable(fails()).wait()
except KeyError: pass
""",
    "green work awaited": "spawn_for_awaitable(awaits()).wait()",
    "green work awaited at its end": "spawn_for_awaitable(awaits(eventlet.spawn(abs, -1))).wait()",
    "awaiting task cancelled": """
try: spawn_for_awaitable(cancels()).wait()
except asyncio.CancelledError: pass
""",
    "blocking call in a task": "spawn_for_awaitable(blocks()).wait()",
    "nested loop": "asyncio.run(blocks())",
}
# What these give up, others wait for.
MAY_LOSE = {"imap", "second reader", *ASYNCIO}
PROGRAM = """
import _testcapi, asyncio, sys, time
import eventlet, greenlet
from eventlet import GreenPile, GreenPool
from eventlet import corolocal, event, hubs, queue, semaphore, tpool
from eventlet.asyncio import spawn_for_awaitable
import eventlet.debug
from eventlet.green import socket, threading as green_threading
from eventlet.hubs import trampoline
sys.unraisablehook = lambda _: None
eventlet.debug.hub_exceptions(False)
if {hub!r} != "asyncio": hubs.use_hub({hub!r})
def work(*_):
    try: eventlet.sleep(0)
    except MemoryError: pass
async def nothing(): return 1
async def fails(): raise KeyError
async def awaits(green=None): return await (green or eventlet.spawn(work))
async def blocks(): eventlet.sleep(0); eventlet.spawn(work).wait()
async def cancels():
    task = asyncio.ensure_future(awaits(eventlet.spawn(eventlet.sleep, 60)))
    await asyncio.sleep(0)
    task.cancel()
    await task
q, s, local = queue.Queue(1), semaphore.Semaphore(0), corolocal.local()
reads, writes = socket.socketpair()
eventlet.sleep(0)
seen = 0
set_nomemory, remove = _testcapi.set_nomemory, _testcapi.remove_mem_hooks
names = dict(globals())
for name, (operation, seconds) in {operations!r}.items():
    # The last one is to blame for the end of the process.
    print("next:", name, file=sys.stderr)
    operation = compile(operation, name, "exec")
    exec(operation, names)
    lost = []
    for first in range({count}):
        try:
            with eventlet.Timeout(seconds):
                set_nomemory(first, first + 1)
                try: exec(operation, names)
                finally: remove()
        except MemoryError: seen += 1
        except eventlet.Timeout: lost.append(first)
        except SystemError as error:
            # CPython's own, if the traceback of an exception cannot be made.
            if not (3, 11) <= sys.version_info[:2] <= (3, 13): print(name, first, error, flush=True)
        except BaseException as error:
            print(name, first, type(error).__name__, error, flush=True)
    if lost and seconds > 1: print(name, "never ended:", lost, flush=True)
# All is as it was.
s.release(); assert s.acquire(timeout=5)
assert eventlet.spawn(abs, -1).wait() == 1
print("survived", seen)
"""


def try_some(some, hub):
    """Run the program for some operations."""
    program = PROGRAM.format(operations=some, hub=hub, count=COUNT)
    try:
        done = subprocess.run(
            [sys.executable, "-X", "faulthandler", "-c", program],
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        bad.append((hub, "no end", error.stderr[-3000:]))
        return
    lines = done.stdout.splitlines()
    if done.returncode or len(lines) != 1 or not int(lines[0].split()[-1]):
        bad.append((hub, done.returncode, lines[:4], done.stderr[-3000:]))


def run():
    """Try what is left."""
    while left:
        try_some(*left.pop())


COUNT = 80
bad = []
every = OPERATIONS | ASYNCIO
chosen = {
    name: (every[name], 0.03 if name in MAY_LOSE else 10)
    for name in sys.argv[1:] or every
}
native = {name: it for name, it in chosen.items() if name not in ASYNCIO}
left = []
for hub, those in [("asyncio", chosen), ("poll", native)]:
    parts = [dict(list(those.items())[at::3]) for at in range(3)]
    left += [(part, hub) for part in parts if part]
threads = [threading.Thread(target=run) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
for each in bad:
    print(*each)
assert not bad, len(bad)
print("pass")
