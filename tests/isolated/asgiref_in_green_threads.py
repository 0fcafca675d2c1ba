"""
asgiref's adapters, as Django uses them, in main and in green threads of a patched process:
each green thread runs its own loop, and synchronous code goes back to the caller's thread.
"""

# needs: asgiref
# loops: uvloop
# ruff: noqa: E402 (patched first)

import eventlet

eventlet.monkey_patch()

import asyncio
import threading

from asgiref.sync import async_to_sync, sync_to_async

from eventlet.event import Event

begun = [Event() for _ in range(3)]


async def work(number):
    # Each needs the next to have begun.
    begun[number].send(None)
    await eventlet.spawn(begun[(number + 1) % 3].wait)
    return number, await sync_to_async(threading.get_ident)()


async def double(value):
    await asyncio.sleep(0)
    return value * 2


def adapted(number):
    return async_to_sync(work)(number), threading.get_ident()


eventlet.sleep(0)
assert async_to_sync(double)(2) == 4
greens = [eventlet.spawn(adapted, number) for number in range(3)]
for number, green in enumerate(greens):
    (value, inside), outside = green.wait()
    assert (value, inside) == (number, outside)

# Patched OS threads are green threads, and run loops at the same time.
begun = [Event() for _ in range(3)]
results = []
threads = [
    threading.Thread(target=lambda i=i: results.append(asyncio.run(work(i))[0]))
    for i in range(3)
]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert sorted(results) == [0, 1, 2]
print("pass")
