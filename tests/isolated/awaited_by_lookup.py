"""A future that makes what it awaits up when it is asked crashes no search for cycles."""

import asyncio

import eventlet
from eventlet_asyncio import _core

clutter = []


class Fresh(asyncio.Future):
    """Each lookup gives a new object, which nobody else holds."""

    depth = 0

    @property
    def _fut_waiter(self):
        clutter.append([bytearray(size) for size in range(16, 1024, 16)])
        fresh = Fresh(loop=self.get_loop())
        fresh.depth = self.depth + 1
        return fresh if fresh.depth < 50 else None


def waiter():
    loop = eventlet.hubs.get_hub()._event_loop()
    future = Fresh(loop=loop)
    green = _core.spawn_for_awaitable(future)
    eventlet.spawn_after(0.005, future.set_result, 7)
    return green.wait()


assert eventlet.spawn(waiter).wait() == 7
assert clutter
print("pass")
