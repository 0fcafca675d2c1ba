"""
A coroutine of the hub's loop forks while that has connections and a listener: the child, which
goes on, takes nothing of what is the parent's. It hears signals, and serves clients of its own.
"""
# loops: uvloop

import asyncio
import os
import signal

import eventlet
from eventlet.asyncio import spawn_for_awaitable

ROUNDS = 50


async def answer(reader, writer):
    while line := await reader.readline():
        writer.write(b"%d " % os.getpid() + line)
    writer.close()


async def ask(reader, writer, text):
    writer.write(text + b"\n")
    return await reader.readline()


async def serve():
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    return server, server.sockets[0].getsockname()


async def child(ready, go):
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append("signal"))
    os.write(ready, b"x")
    loop = asyncio.get_running_loop()
    readable = loop.create_future()
    loop.add_reader(go, readable.set_result, None)
    # Meanwhile the parent's clients talk to it.
    await readable
    loop.remove_reader(go)
    own, address = await serve()
    connection = await asyncio.open_connection(*address)
    assert await ask(*connection, b"own") == b"%d own\n" % os.getpid()
    os.kill(os.getpid(), signal.SIGUSR1)
    await asyncio.sleep(0.01)
    assert heard == ["signal"]
    assert await loop.run_in_executor(None, int, "3") == 3
    own.close()


async def work():
    server, address = await serve()
    connection = await asyncio.open_connection(*address)
    # The executor has a thread, which the child has not.
    await asyncio.get_running_loop().run_in_executor(None, int)
    here = b"%d " % os.getpid()
    assert await ask(*connection, b"before") == here + b"before\n"
    ready, tell = os.pipe()
    wait, go = os.pipe()
    # Not sent yet when the fork comes.
    connection[1].write(b"pending\n")
    pid = os.fork()
    if pid == 0:
        await child(tell, wait)
        os._exit(7)
    assert await connection[0].readline() == here + b"pending\n"
    eventlet.hubs.trampoline(ready, read=True, timeout=10)
    os.read(ready, 1)
    for _ in range(ROUNDS):
        assert await ask(*connection, b"again") == here + b"again\n"
        other = await asyncio.open_connection(*address)
        assert await ask(*other, b"new") == here + b"new\n"
        other[1].close()
    os.write(go, b"x")
    ended = await asyncio.get_running_loop().run_in_executor(None, os.waitpid, pid, 0)
    assert os.waitstatus_to_exitcode(ended[1]) == 7, ended
    assert await ask(*connection, b"after") == here + b"after\n"
    connection[1].close()
    await connection[1].wait_closed()
    server.close()


spawn_for_awaitable(work()).wait()
print("pass")
