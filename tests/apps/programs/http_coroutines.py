"""aiohttp and httpx on asyncio, httpx on trio, beside green threads."""

# needs: aiohttp httpx trio
# upstream: trio cannot be imported after monkey_patch

import eventlet

eventlet.monkey_patch()

import asyncio
import os

import aiohttp
import aiohttp.web
import httpx
import trio  # httpx would do it in a coroutine, and it runs a program then

import eventlet.asyncio
from eventlet.green import urllib

ON_ASYNCIO = os.environ["EVENTLET_HUB"] == "asyncio"


async def handle(request):
    if request.path == "/socket":
        socket = aiohttp.web.WebSocketResponse()
        await socket.prepare(request)
        async for message in socket:
            await socket.send_str(message.data[::-1])
        return socket
    await asyncio.sleep(0.1)
    return aiohttp.web.json_response({"size": len(await request.read())})


async def start():
    app = aiohttp.web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = aiohttp.web.AppRunner(app)
    await runner.setup()
    site = aiohttp.web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


async def by_aiohttp(root):
    async with aiohttp.ClientSession() as session:

        async def post(size):
            async with session.post(root, data=b"x" * size) as answer:
                return (await answer.json())["size"]

        sizes = [10**number for number in range(7)]
        assert await asyncio.gather(*map(post, sizes)) == sizes
        async with session.ws_connect(root + "/socket") as socket:
            await socket.send_str("abc")
            assert await socket.receive_str() == "cba"


async def by_httpx(root):
    async with httpx.AsyncClient(trust_env=False) as client:
        answers = await asyncio.gather(*(client.get(root) for _ in range(10)))
        assert [answer.status_code for answer in answers] == [200] * 10
        answer = await client.post(root, content=b"x" * 100_000)
        assert answer.json()["size"] == 100_000


async def everything():
    runner, root = await start()
    await by_aiohttp(root)
    await by_httpx(root)
    if ON_ASYNCIO:
        # A green client asks the same loop's server.
        ask = eventlet.spawn(lambda: urllib.request.urlopen(root).read())
        assert await ask == b'{"size": 0}'
    await runner.cleanup()


asyncio.run(everything())
eventlet.spawn(asyncio.run, everything()).wait()


if ON_ASYNCIO:
    eventlet.asyncio.spawn_for_awaitable(everything()).wait()
    runner, root = eventlet.asyncio.spawn_for_awaitable(start()).wait()
    # The same server, asked by green code.
    with httpx.Client(trust_env=False) as client:
        ask = [eventlet.spawn(client.get, root) for _ in range(10)]
        assert [thread.wait().json() for thread in ask] == [{"size": 0}] * 10
    eventlet.asyncio.spawn_for_awaitable(runner.cleanup()).wait()
print("pass")
