"""
A green coroutine that forks goes on in the parent; in the child it may make green calls,
with the hub that the child makes, and leave.
"""

import asyncio
import os

import eventlet
import eventlet.asyncio
from eventlet.asyncio import await_


async def child_task():
    eventlet.sleep(0.001)
    await asyncio.sleep(0)
    return 3


async def main():
    eventlet.sleep(0.001)
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            eventlet.sleep(0.01)
            assert eventlet.spawn(lambda: 2).wait() == 2
            assert await_(child_task()) == 3
            os.write(writer, b"child")
            code = 0
        finally:
            os._exit(code)
    os.close(writer)
    eventlet.sleep(0.01)
    other = asyncio.create_task(child_task())
    assert await other == 3
    assert os.read(reader, 10) == b"child"
    assert os.waitpid(pid, 0)[1] == 0  # noqa: ASYNC222 - it has ended
    os.close(reader)
    return asyncio.current_task() is not None


assert eventlet.asyncio.run(main())
assert eventlet.asyncio.run(main())
print("pass")
