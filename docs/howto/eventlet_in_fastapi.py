"""
Call a library written for Eventlet from a FastAPI application, served by uvicorn.

It serves a few requests to itself, and ends.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

import httpx
import uvicorn
from fastapi import Depends, FastAPI

import eventlet
import eventlet_asyncio


# --- library
def slow_square(number: int) -> int:
    """Block in Eventlet's style."""
    eventlet.sleep(0.05)
    return number * number


# --- application
application = FastAPI()
square = eventlet_asyncio.sync_to_async(slow_square)


async def limit() -> int:
    """Stand for a dependency that asks green code as well."""
    return await square(10)


@application.get("/square/{number}")
async def answer(number: int, most: Annotated[int, Depends(limit)]) -> dict[str, int]:
    """Await the library as if it were asynchronous."""
    return {"square": min(most, await square(number))}


# --- main
async def main() -> None:
    """Serve on a free port, and ask ten times at once."""
    config = uvicorn.Config(application, host="127.0.0.1", port=0, log_level="warning")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    root = f"http://127.0.0.1:{port}/square"
    async with httpx.AsyncClient(trust_env=False) as client:
        asked = (client.get(f"{root}/{number}") for number in range(10))
        answers = await asyncio.gather(*asked)
    found = [each.json()["square"] for each in answers]
    assert found == [number * number for number in range(10)]
    print(*found)
    server.should_exit = True
    await serving


if __name__ == "__main__":
    # The active implementation is needed: EVENTLET_HUB=asyncio, or activate().
    asyncio.run(main())
