"""The process ends although an executor has an idle thread, in either `threading`."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import eventlet
from eventlet import patcher
from eventlet.asyncio import spawn_for_awaitable


async def use_the_loops_executor():
    """Leave a thread behind that waits for work."""
    return await asyncio.get_running_loop().run_in_executor(None, int)


# These tell their threads to end when `threading` ends, in order of registration.
early = ThreadPoolExecutor(1)
early.submit(int).result()
assert spawn_for_awaitable(use_the_loops_executor()).wait() == 0

original = patcher.original("threading")
ended = []
thread = original.Thread(target=ended.append, args=(1,))
thread.start()
thread.join()
late = patcher.original("concurrent.futures.thread").ThreadPoolExecutor(1)
late.submit(int).result()

eventlet.monkey_patch()
eventlet.sleep(0)
assert ended == [1]
print("pass")
