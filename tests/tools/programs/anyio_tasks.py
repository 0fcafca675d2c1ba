"""
anyio's task groups, cancel scopes, threads and portals hold on the hub's loop.

Its tasks may block; its worker threads are green, as all threads of a patched program
are, while those of ``asyncio.to_thread`` are OS threads.
"""
# needs: anyio

import eventlet

eventlet.monkey_patch()

import asyncio
import threading
import time

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread

import eventlet.asyncio
from eventlet.patcher import original

real_ident = original("threading").get_ident
turns = []


def take_turns():
    while True:
        turns.append(1)
        eventlet.sleep(0.001)


async def main():
    seen = []
    limit = anyio.CapacityLimiter(2)
    peak = [0, 0]

    async def blocking(number):
        async with limit:
            peak[0] += 1
            peak[1] = max(peak)
            time.sleep(0.01)  # noqa: ASYNC251 - green: the loop runs on
            peak[0] -= 1
            seen.append(number)

    async with anyio.create_task_group() as group:
        for number in range(10):
            group.start_soon(blocking, number)
    assert sorted(seen) == list(range(10))
    assert peak == [0, 2], peak

    # A scope ends what waits by anyio, and a task that blocks green when it is back.
    with anyio.move_on_after(0.05) as scope:
        await anyio.sleep(60)
    assert scope.cancelled_caught
    ended = []

    async def child():
        try:
            await anyio.sleep(60)
        finally:
            ended.append(1)

    try:
        async with anyio.create_task_group() as group:
            group.start_soon(child)
            await anyio.sleep(0.01)
            raise KeyError("mine")
    except BaseException as error:
        assert [type(e) for e in error.exceptions] == [KeyError], error
    assert ended == [1]

    # Worker threads are green, and call back into the loop.
    def work():
        time.sleep(0.01)
        return real_ident(), anyio.from_thread.run(answer, 5)

    async def answer(number):
        await anyio.lowlevel.checkpoint()
        return number * 2, real_ident()

    before = len(turns)
    ident, (doubled, loop_ident) = await anyio.to_thread.run_sync(work)
    assert ident == real_ident() == loop_ident
    assert doubled == 10
    assert len(turns) > before
    assert await asyncio.to_thread(real_ident) != real_ident()

    # Streams between a task and a green thread's coroutine.
    send, receive = anyio.create_memory_object_stream(1)

    async def producer():
        async with send:
            for number in range(100):
                await send.send(number)

    green = eventlet.asyncio.spawn_for_awaitable(producer())
    async with receive:
        assert [item async for item in receive] == list(range(100))
    await asyncio.sleep(0)
    green.wait()

    # Sockets.
    listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
    port = listener.extra(anyio.abc.SocketAttribute.local_port)

    async def echo(stream):
        async with stream:
            async for data in stream:
                await stream.send(data)

    def client():
        import socket

        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(b"x" * 100_000)
            got = 0
            while got < 100_000:
                got += len(connection.recv(65536))
            return got

    async with anyio.create_task_group() as group:
        group.start_soon(listener.serve, echo)
        clients = [eventlet.spawn(client) for _ in range(5)]
        for each in clients:
            assert each.wait() == 100_000
        group.cancel_scope.cancel()
    await listener.aclose()


eventlet.spawn(take_turns)
eventlet.asyncio.spawn_for_awaitable(main()).wait()
assert len(turns) > 20, len(turns)

# anyio.run has a loop of its own, in the main thread and in a portal's.
assert anyio.run(anyio.to_thread.run_sync, lambda: 5) == 5
with anyio.from_thread.start_blocking_portal() as portal:
    before = len(turns)
    assert portal.call(asyncio.sleep, 0.05, "slept") == "slept"
    assert len(turns) > before
    future = portal.start_task_soon(anyio.sleep, 0.01)
    assert future.result(20) is None
assert threading.active_count() >= 1
print("pass")
