"""
Let green threads and coroutines of one process wait for each other.

Starts an aiohttp server on loopback and then crosses between the two worlds in
both directions.  Run it with EVENTLET_HUB=asyncio; it stops with an error at
the first thing that is not as it should be.
"""

from __future__ import annotations

import asyncio
import sys
import time

from aiohttp import ClientSession, web

import eventlet
import eventlet.asyncio
import eventlet_asyncio

NAMES = ["ada", "edsger", "grace"]


# --- server
async def greet(request: web.Request) -> web.Response:
    """Answer after a while, as a service does that has to ask others."""
    await asyncio.sleep(0.2)
    return web.json_response({"hello": request.match_info["name"]})


async def start_server() -> tuple[web.AppRunner, str]:
    """Serve on a free port of loopback; return what stops it, and its address."""
    application = web.Application()
    application.router.add_get("/{name}", greet)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    return runner, f"http://{host}:{port}"


# --- fetch
async def fetch(url: str) -> str:
    """Ask the server; an ordinary coroutine of an asyncio library."""
    async with ClientSession() as session, session.get(url) as response:
        response.raise_for_status()
        return str((await response.json())["hello"])


# --- from-green
def ask_from_green_code(url: str) -> list[str]:
    """Run coroutines from green code, all at once, and wait for their results."""
    requests = [
        eventlet.asyncio.spawn_for_awaitable(fetch(f"{url}/{name}")) for name in NAMES
    ]
    return [request.wait() for request in requests]


# --- blocking
def add_slowly(numbers: range) -> int:
    """Add numbers in the old style: each step looks as if it blocked."""
    total = 0
    for number in numbers:
        eventlet.sleep(0.02)
        total += number
    return total


# --- from-coroutine
async def wait_for_both(url: str) -> tuple[int, str]:
    """Await a green thread and a request side by side, from a coroutine."""
    total, name = await asyncio.gather(
        eventlet.spawn(add_slowly, range(10)),
        fetch(f"{url}/coroutine"),
    )
    return total, name


# --- main
def main() -> None:
    """Show both directions, while a third green thread counts."""
    check(eventlet_asyncio.is_active(), "this is not our eventlet: set EVENTLET_HUB")
    count = 0

    def keep_counting() -> None:
        nonlocal count
        while True:
            eventlet.sleep(0.02)
            count += 1

    with eventlet.Timeout(30):
        runner, url = eventlet.asyncio.spawn_for_awaitable(start_server()).wait()
        print(f"an aiohttp server listens on {url}")
        counter = eventlet.spawn(keep_counting)

        start = time.monotonic()
        answers = ask_from_green_code(url)
        seconds = time.monotonic() - start
        check(answers == NAMES, f"the server said {answers}, not {NAMES}")
        check(count > 0, "the green thread beside the requests did not run")
        print(f"green code asked it for {answers}, in {seconds:.1f} s for all three")
        print(f"meanwhile another green thread ran {count} times")

        total, name = eventlet.asyncio.spawn_for_awaitable(wait_for_both(url)).wait()
        check(total == 45, f"the green function returned {total}, not 45")
        check(name == "coroutine", f"the server said {name!r} to the coroutine")
        print(f"a coroutine awaited a green function ({total}) and a request ({name})")

        counter.kill()
        eventlet.asyncio.spawn_for_awaitable(runner.cleanup()).wait()
    print("done: green threads and coroutines waited for each other in one process")


def check(holds: object, otherwise: str) -> None:
    """Leave with an error unless something holds."""
    if not holds:
        sys.exit(f"FAILED: {otherwise}")


if __name__ == "__main__":
    main()
