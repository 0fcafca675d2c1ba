"""Mistakes, and what mypy calls them. Read by type checkers, never run."""

import eventlet
import eventlet.asyncio
import eventlet.wsgi
import greenlet
from eventlet import tpool
from eventlet.green import socket, time


def double(number: int) -> int:
    return 2 * number


async def later(number: int) -> int:
    return number


numbers: eventlet.Queue[int] = eventlet.Queue()

eventlet.sleep("x")  # error: arg-type
eventlet.spawn(3)  # error: arg-type
eventlet.GreenPool("many")  # error: arg-type
eventlet.Semaphore().acquire(timeout="x")  # error: arg-type
eventlet.nonsense  # error: attr-defined
eventlet.hubs.use_hub(3.5)  # error: arg-type
eventlet.wsgi.server()  # error: call-arg
socket.socket().recv("x")  # error: arg-type
socket.nonsense  # error: attr-defined
time.sleep("x")  # error: arg-type
eventlet.spawn(double, "x")  # error: arg-type
eventlet.spawn(double)  # error: call-arg
eventlet.spawn_n(double, 1, 2)  # error: call-arg
eventlet.spawn_after(1, double, "x")  # error: arg-type
eventlet.GreenPool().spawn(double, nonsense=1)  # error: call-arg
eventlet.GreenPool().spawn_n(double, "x")  # error: arg-type
eventlet.GreenPile().spawn(double, "x")  # error: arg-type
tpool.execute(double, "x")  # error: arg-type
eventlet.spawn(double, 1).wait().nonsense  # error: attr-defined
eventlet.asyncio.async_to_sync(later)("x")  # error: arg-type
numbers.put("x")  # error: arg-type
greenlet.greenlet(3)  # error: arg-type
greenlet.nonsense  # error: attr-defined
