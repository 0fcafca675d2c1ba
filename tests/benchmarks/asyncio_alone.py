"""
Measure what programs of asyncio alone cost where Eventlet runs their loop.

Question: does a program that makes no green call pay more than 5 % for the hub beneath it?
And a task that only takes steps, on a loop in whose tasks green calls may block, 15 %?
Each program is a server and its clients in one process, or tasks that do nothing else. It runs

- by ``asyncio.run()`` in a process that has not loaded Eventlet: the base;
- by ``asyncio.run()`` as the program, with green threads attached to its loop, which wait;
- by ``asyncio.run()`` in green code, whose loop is one beside the hub's;
- as a task on the hub's own loop, by ``spawn_for_awaitable()`` and by ``await_()``::

    python tests/benchmarks/asyncio_alone.py
    python tests/benchmarks/asyncio_alone.py --program streams --loop uvloop --rounds 9

Each measurement is the processor time of a process of its own, at the best of some
repetitions; ways are interleaved, and figures are medians of the ratios within a round.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import importlib
import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from heading import print_heading

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

LOOPS = ("asyncio", "uvloop")
WAYS = ("plain", "attached", "nested", "spawned", "awaited")
TARGETS = {"streams": 1.05, "aiohttp": 1.05, "steps": 1.15}
REPETITIONS = 7


async def streams() -> float:
    """Echo lines over asyncio's streams; return the processor time of the best part."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            writer.write(line)
            await writer.drain()
        writer.close()

    async def ask(port: int, times: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        line = b"x" * 63 + b"\n"
        for _ in range(times):
            writer.write(line)
            await writer.drain()
            assert await reader.readline() == line
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]

    async def part() -> None:
        await asyncio.gather(*[ask(port, 150) for _ in range(20)])

    best = await best_of(part)
    server.close()
    await server.wait_closed()
    return best


async def aiohttp() -> float:
    """Ask an aiohttp server with an aiohttp client; see :func:`streams`."""
    library = importlib.import_module("aiohttp")
    web = importlib.import_module("aiohttp.web")

    async def hello(_request: object) -> object:
        await asyncio.sleep(0)
        return web.Response(text="hello")

    application = web.Application()
    application.router.add_get("/", hello)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/"

    async with library.ClientSession() as session:

        async def ask(times: int) -> None:
            for _ in range(times):
                async with session.get(url) as response:
                    assert await response.text() == "hello"

        async def part() -> None:
            await asyncio.gather(*[ask(20) for _ in range(20)])

        best = await best_of(part)
    await runner.cleanup()
    return best


async def steps() -> float:
    """Have tasks take steps, and nothing else; see :func:`streams`."""

    async def walk() -> None:
        for _ in range(200):
            await asyncio.sleep(0)

    async def part() -> None:
        await asyncio.gather(*[walk() for _ in range(100)])

    return await best_of(part)


PROGRAMS = {"streams": streams, "aiohttp": aiohttp, "steps": steps}


async def best_of(part: Callable[[], Awaitable[None]]) -> float:
    """Run a part several times; return the processor time of the cheapest."""
    await part()
    gc.collect()
    gc.disable()
    spent = []
    for _ in range(REPETITIONS):
        start = time.process_time()
        await part()
        spent.append(time.process_time() - start)
    return min(spent)


def measure(program: Callable[[], Awaitable[float]], way: str, loop: str) -> float:
    """Run the program in this process, one way."""
    if way == "plain":
        assert "eventlet" not in sys.modules
        return run(program, loop)
    eventlet = importlib.import_module("eventlet")
    bridge = importlib.import_module("eventlet.asyncio")
    waiting = [eventlet.spawn(eventlet.Event().wait) for _ in range(10)]

    async def attached() -> float:
        await eventlet.spawn(eventlet.sleep, 0)
        return await program()

    if way == "attached":
        found = run(attached, loop)
    elif way == "nested":
        found = eventlet.spawn(run, program, loop).wait()
    elif way == "spawned":
        found = bridge.spawn_for_awaitable(program()).wait()
    else:
        found = bridge.await_(program())
    assert not any(green.dead for green in waiting)
    return found


def run(program: Callable[[], Awaitable[float]], loop: str) -> float:
    """Run the program as asyncio's own, on a loop of that kind."""
    if loop == "uvloop":
        return importlib.import_module("uvloop").run(program())
    return asyncio.run(program())  # type: ignore[arg-type]


def compare(program: str, loop: str, ways: list[str], rounds: int) -> float:
    """Print a line for each way; return the worst ratio."""
    found: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds):
        # No way comes always first, or always after the same one.
        for way in ways[number % len(ways) :] + ways[: number % len(ways)]:
            env = os.environ | {"EVENTLET_ASYNCIO_LOOP": f"{loop}:new_event_loop"}
            env.pop("EVENTLET_HUB", None)
            if way != "plain":
                env["EVENTLET_HUB"] = "asyncio"
            command = [sys.executable, __file__, "--one", program, way, loop]
            done = subprocess.run(
                command, env=env, check=True, capture_output=True, text=True
            )
            found[way].append(float(done.stdout))
    worst = 0.0
    for way in ways:
        ratios = [
            mine / base for mine, base in zip(found[way], found["plain"], strict=True)
        ]
        ratio = statistics.median(ratios)
        worst = max(worst, ratio)
        print(
            f"{program:8} {loop:8} {way:9} {statistics.median(found[way]) * 1e3:7.1f} ms"
            f"  {ratio:5.3f} ({min(ratios):.3f}-{max(ratios):.3f})",
            flush=True,
        )
    return worst


def main() -> int:
    """Compare the ways for each program and loop asked for."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("--program", action="append", choices=list(PROGRAMS))
    parser.add_argument("--loop", action="append", choices=LOOPS)
    parser.add_argument("--way", action="append", choices=WAYS[1:])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        program, way, loop = options.one
        print(measure(PROGRAMS[program], way, loop))
        return 0
    print_heading()
    ways = ["plain", *(options.way or WAYS[1:])]
    fine = True
    for program in options.program or PROGRAMS:
        worst = max(
            compare(program, loop, ways, options.rounds)
            for loop in options.loop or LOOPS
        )
        print(f"{program:8} worst {worst:.3f}, at most {TARGETS[program]}")
        fine = fine and worst <= TARGETS[program]
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
