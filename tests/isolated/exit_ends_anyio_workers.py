"""anyio's worker threads, which wait for their task to end, do not keep the process."""

# needs: anyio
# loops: uvloop

import threading

import anyio
import anyio.to_thread

import eventlet
from eventlet.asyncio import await_, spawn_for_awaitable


async def work():
    return await anyio.to_thread.run_sync(threading.get_ident)


async def stays():
    await work()
    begun.set_result(None)
    await anyio.sleep_forever()


assert await_(work()) != threading.get_ident()
begun = eventlet.hubs.get_hub().loop.create_future()
green = spawn_for_awaitable(stays())
await_(begun)
workers = [t for t in threading.enumerate() if "AnyIO" in t.name]
assert workers
assert not any(t.daemon for t in workers)
print("pass")
