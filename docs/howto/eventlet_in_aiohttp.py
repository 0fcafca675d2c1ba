"""
Call a library written for Eventlet from the coroutines of an aiohttp application.

It serves a few requests to itself, side by side, and ends.
"""

from __future__ import annotations

import asyncio
import time

from aiohttp import ClientSession, web

import eventlet
from eventlet.pools import Pool


# --- library
class Inventory:
    """A library in Eventlet's style: it blocks, and shares two connections."""

    def __init__(self) -> None:
        self._connections = Pool(max_size=2, create=object)

    def count(self, name: str) -> int:
        """Ask a slow service."""
        with self._connections.item():
            eventlet.sleep(0.05)
            return len(name)


# --- handler
INVENTORY = web.AppKey("inventory", Inventory)


async def count(request: web.Request) -> web.Response:
    """Await a green thread that makes the call; a lost client kills it."""
    inventory = request.app[INVENTORY]
    green = eventlet.spawn(inventory.count, request.match_info["name"])
    found = await asyncio.wait_for(green, timeout=5)
    return web.json_response({"count": found})


# --- main
async def main() -> None:
    """Serve, and ask ten times at once."""
    application = web.Application()
    application[INVENTORY] = Inventory()
    application.router.add_get("/{name}", count)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    root = f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def ask(name: str) -> int:
        async with session.get(f"{root}/{name}") as answer:
            answer.raise_for_status()
            return int((await answer.json())["count"])

    begin = time.monotonic()
    async with ClientSession() as session:
        names = ["x" * number for number in range(1, 11)]
        assert await asyncio.gather(*map(ask, names)) == list(range(1, 11))
    print(f"ten answers over two connections in {time.monotonic() - begin:.2f} s")
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
