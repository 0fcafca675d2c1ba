"""A program whose last task had anyio run a worker thread ends at once."""

# needs: anyio
# loops: uvloop

import threading

import anyio
import anyio.to_thread

from eventlet.asyncio import spawn_for_awaitable


async def work():
    return await anyio.to_thread.run_sync(threading.get_ident)


assert spawn_for_awaitable(work()).wait() != threading.get_ident()
workers = [t for t in threading.enumerate() if "AnyIO" in t.name]
assert workers
assert not any(t.daemon for t in workers)
print("pass")
