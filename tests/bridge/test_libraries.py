"""Libraries of asyncio whose coroutines and callbacks make blocking green calls."""

from __future__ import annotations

import asyncio
import sys

import pytest

import eventlet
import eventlet.asyncio
from eventlet import greenthread, hubs
from eventlet.asyncio import await_
from eventlet.semaphore import Semaphore

run = eventlet.asyncio.run


# anyio


def test_anyio_task_group_runs_coroutines_that_block():
    anyio = pytest.importorskip("anyio")
    log = []

    async def child(number, semaphore):
        eventlet.sleep(0.001)
        with semaphore:
            await anyio.sleep(0)
            log.append(number)

    async def main():
        semaphore = Semaphore(1)
        async with anyio.create_task_group() as group:
            for number in range(3):
                group.start_soon(child, number, semaphore)
        return sorted(log)

    assert run(main()) == [0, 1, 2]


def test_anyio_cancel_scope_ends_a_green_call():
    anyio = pytest.importorskip("anyio")

    async def main():
        with anyio.move_on_after(0.001) as scope:
            eventlet.sleep(60)
        assert scope.cancelled_caught
        with pytest.raises(TimeoutError), anyio.fail_after(0.001):
            eventlet.sleep(60)
        return await anyio.to_thread.run_sync(lambda: "thread")

    assert run(main()) == "thread"


def test_timeout_in_an_anyio_task_is_not_its_cancellation():
    anyio = pytest.importorskip("anyio")

    async def main():
        with anyio.CancelScope() as scope:
            with eventlet.Timeout(0.001, False):
                await anyio.sleep(60)
            await anyio.sleep(0)
            return scope.cancel_called

    assert run(main()) is False


# aiohttp and httpx


async def http_server(handler):
    """Serve HTTP with aiohttp on a free port; return what to clean up and the address."""
    from aiohttp import web

    application = web.Application()
    application.router.add_get("/", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    return runner, f"http://127.0.0.1:{port}/"


def test_aiohttp_handlers_and_clients_block():
    aiohttp = pytest.importorskip("aiohttp")
    seen = set()

    async def handler(request):
        eventlet.sleep(0.001)
        seen.add(greenthread.getcurrent())
        text = eventlet.spawn(lambda: "from a green thread").wait()
        return aiohttp.web.Response(text=text)

    async def fetch(session, url):
        async with session.get(url) as response:
            eventlet.sleep(0.001)
            return await response.text()

    async def main():
        runner, url = await http_server(handler)
        async with aiohttp.ClientSession() as session:
            texts = await asyncio.gather(*[fetch(session, url) for _ in range(5)])
        await runner.cleanup()
        return texts

    if aiohttp is not None:
        from aiohttp import web  # noqa: F401 - its attribute is used above
    assert run(main()) == ["from a green thread"] * 5
    assert len(seen) > 1


def test_httpx_in_coroutines_that_block():
    httpx = pytest.importorskip("httpx")
    aiohttp = pytest.importorskip("aiohttp")
    from aiohttp import web

    async def handler(request):
        eventlet.sleep(0.001)
        return web.Response(text="answer")

    async def main():
        assert aiohttp
        runner, url = await http_server(handler)
        async with httpx.AsyncClient() as client:
            eventlet.sleep(0.001)
            answers = await asyncio.gather(*[client.get(url) for _ in range(3)])
        await runner.cleanup()
        return [answer.text for answer in answers]

    assert run(main()) == ["answer"] * 3


def test_requests_in_a_coroutine_under_patched_sockets(run_isolated):
    pytest.importorskip("requests")
    pytest.importorskip("aiohttp")
    program = """
import eventlet
eventlet.monkey_patch()
import asyncio, eventlet.asyncio, requests
from aiohttp import web

async def handler(request):
    eventlet.sleep(0.01)
    return web.Response(text="answer")

async def fetch(url):
    return requests.get(url, timeout=30).text

async def main():
    application = web.Application()
    application.router.add_get("/", handler)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = site._server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/"
    texts = await asyncio.gather(*[fetch(url) for _ in range(5)])
    await runner.cleanup()
    return texts

assert eventlet.asyncio.run(main()) == ["answer"] * 5
print("pass")
"""
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert done.stdout == "pass\n"


# SQLAlchemy and awaitlet


def database(tmp_path):
    """Return SQLAlchemy's asyncio layer on a database in a file, with one table."""
    pytest.importorskip("aiosqlite")
    pytest.importorskip("sqlalchemy")
    from sqlalchemy.ext.asyncio import create_async_engine

    return create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/database")


def test_sqlalchemys_asyncio_layer_beside_green_calls(tmp_path):
    engine = database(tmp_path)
    from sqlalchemy import text

    async def count(number):
        async with engine.connect() as connection:
            eventlet.sleep(0.001)
            result = await connection.execute(
                text(f"select {number} + count(*) from t")
            )
            eventlet.sleep(0)
            return result.scalar()

    async def main():
        async with engine.begin() as connection:
            await connection.execute(text("create table t (v int)"))
            await connection.execute(text("insert into t values (1), (2)"))
        found = await asyncio.gather(*[count(number) for number in range(5)])
        await engine.dispose()
        return found

    assert run(main()) == [2, 3, 4, 5, 6]


def test_green_calls_in_synchronous_code_that_sqlalchemy_runs(tmp_path):
    engine = database(tmp_path)
    from sqlalchemy import text

    def synchronous(connection):
        eventlet.sleep(0.001)
        first = connection.execute(text("select 1")).scalar()
        second = eventlet.spawn(lambda: 2).wait()
        with eventlet.Timeout(0.001, False):
            eventlet.sleep(60)
        return first, second, connection.execute(text("select 3")).scalar()

    async def work():
        async with engine.connect() as connection:
            return await connection.run_sync(synchronous)

    async def main():
        found = await asyncio.gather(work(), work())
        await engine.dispose()
        return found

    assert run(main()) == [(1, 2, 3)] * 2


def test_sqlalchemy_sessions_under_plain_asyncio(tmp_path):
    engine = database(tmp_path)
    from sqlalchemy import text

    async def main():
        async with engine.connect() as connection:
            found = (await connection.execute(text("select 5"))).scalar()
        await engine.dispose()
        return found

    assert asyncio.run(main()) == 5


def test_awaitlet_on_green_coroutines():
    awaitlet = pytest.importorskip("awaitlet")

    def synchronous():
        eventlet.sleep(0.001)
        first = awaitlet.awaitlet(double(1))
        eventlet.sleep(0)
        return first, awaitlet.awaitlet(double(2)), eventlet.spawn(int).wait()

    async def double(number):
        eventlet.sleep(0.001)
        await asyncio.sleep(0)
        return number * 2

    async def main():
        return await asyncio.gather(
            awaitlet.async_def(synchronous), awaitlet.async_def(synchronous)
        )

    assert run(main()) == [(2, 4, 0)] * 2


# uvloop's and the standard loop's own parts


def test_subprocess_of_asyncio_in_a_coroutine_that_blocks():
    async def main():
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "print('child')", stdout=asyncio.subprocess.PIPE
        )
        eventlet.sleep(0.001)
        return (await process.communicate())[0]

    assert await_(asyncio.ensure_future(main(), loop=hubs.get_hub().loop)) == b"child\n"
