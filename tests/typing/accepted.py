"""What users write, and the types they get. Read by type checkers, never run."""

from __future__ import annotations

import ssl as standard_ssl
from types import ModuleType
from typing import Any

from typing_extensions import assert_type

import eventlet
import eventlet.asyncio
import eventlet.greenpool
import eventlet.hubs.hub
import eventlet.wsgi
import greenlet
from eventlet import event, greenthread, patcher, queue, semaphore, tpool, websocket
from eventlet.green import os, socket, ssl, subprocess, threading, time
from eventlet.green.http import client
from eventlet.green.urllib import request


def double(number: int) -> int:
    eventlet.sleep(0.1)
    return 2 * number


async def answer() -> int:
    return 42


# One class, whichever of its names is used.
pool: eventlet.GreenPool = eventlet.greenpool.GreenPool(10)
same: eventlet.greenpool.GreenPool = eventlet.GreenPool()
units: semaphore.Semaphore = eventlet.Semaphore(2)
late: eventlet.Timeout = eventlet.TimeoutError(1)
items: queue.Queue = eventlet.Queue()
signal: event.Event = eventlet.Event()

assert_type(eventlet.spawn(double, 3), greenthread.GreenThread[int])
assert_type(eventlet.spawn_after(1, double, 3).wait(), int)
assert_type(pool.spawn(double, number=3), greenthread.GreenThread[int])
assert_type(tpool.execute(double, 3), int)
assert_type(eventlet.asyncio.run(answer()), int)
assert_type(eventlet.asyncio.spawn_for_awaitable(answer()).wait(), int)
assert_type(eventlet.asyncio.async_to_sync(answer)(), int)
pool.spawn_n(double, 3)
eventlet.spawn_n(double, 3)
# The bare names stay annotations.
bare: greenthread.GreenThread = eventlet.spawn(double, 3)
numbers: eventlet.Queue[int] = eventlet.Queue(10)
assert_type(numbers.get(), int)
smallest: queue.PriorityQueue[tuple[int, str]] = queue.PriorityQueue()
assert_type(smallest.get(), tuple[int, str])
assert_type(eventlet.hubs.get_hub(), eventlet.hubs.hub.BaseHub)
assert_type(patcher.original("time"), ModuleType)
assert_type(eventlet.__version__, str)
eventlet.monkey_patch(socket=True)
with eventlet.Timeout(1, False):
    signal.wait()

# Green modules: their own, and beside that what the standard twin has.
connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
assert_type(connection.recv(10), bytes)
assert_type(connection.accept()[0], socket.socket)
mode: standard_ssl.VerifyMode = ssl.CERT_NONE
assert_type(time.time(), float)
assert_type(os.read(0, 1), bytes)
client.HTTPSConnection("localhost", context=None)
request.urlopen("http://localhost")
threading.Thread(target=double, args=(1,)).start()
subprocess.Popen(["true"]).wait()


async def later() -> int:
    return await eventlet.spawn(double, 3)


# Greenlets.
raw = greenlet.greenlet(double)
assert_type(greenlet.getcurrent(), greenlet.greenlet)
assert_type(raw.parent, greenlet.greenlet | None)
raw.throw(greenlet.GreenletExit)


def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    start_response("200 OK", [])
    return [b"hello"]


@websocket.WebSocketWSGI
def echo(ws: websocket.WebSocket) -> None:
    ws.send(ws.wait())


eventlet.wsgi.server(eventlet.listen(("localhost", 0)), application)
