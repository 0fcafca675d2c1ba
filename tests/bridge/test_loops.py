"""The hub's event loop: hidden or visible, chosen, stopped and closed."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, spawn_for_awaitable
from eventlet.hubs import trampoline


async def double(value):
    await asyncio.sleep(0)
    return value * 2


# The hub's loop in green code


def test_running_loop_is_hidden_in_green_code_and_visible_in_coroutines():
    def visible():
        try:
            return asyncio.get_running_loop()
        except RuntimeError:
            return None

    async def main():
        return visible(), await eventlet.spawn(visible), visible()

    event_loop = hubs.get_hub().loop
    assert spawn_for_awaitable(main()).wait() == (event_loop, None, event_loop)
    assert visible() is None
    assert eventlet.spawn(visible).wait() is None


def test_create_task_ensure_future_and_gather_use_the_hubs_loop_in_green_code():
    event_loop = hubs.get_hub().loop

    def body():
        return [
            asyncio.create_task(double(1)),
            asyncio.ensure_future(double(2)),
            asyncio.gather(double(3), double(4)),
        ]

    for futures in (body(), eventlet.spawn(body).wait()):
        assert {future.get_loop() for future in futures} == {event_loop}
        assert [await_(future) for future in futures] == [2, 4, [6, 8]]


@pytest.mark.parametrize(
    "imports",
    [
        "import asyncio, eventlet",
        "import eventlet, asyncio",
        "import eventlet; eventlet.monkey_patch(); import asyncio",
        "import asyncio, eventlet, eventlet.asyncio",
    ],
)
def test_create_task_in_main_before_any_hub_use(run_isolated, imports):
    done = run_isolated(
        f"{imports}\n"
        "async def work(): return 12\n"
        "task = asyncio.create_task(work())\n"
        "future = asyncio.ensure_future(work())\n"
        "from eventlet.asyncio import spawn_for_awaitable\n"
        "for f in (task, future):\n"
        "    print(spawn_for_awaitable(f).wait())\n",
        {"EVENTLET_HUB": "asyncio"},
    )
    assert (done.stdout, done.stderr) == ("12\n12\n", "")


def test_importing_eventlet_loads_no_asyncio(run_isolated):
    program = "import sys, eventlet\nprint('asyncio' in sys.modules)\n"
    assert run_isolated(program, {"EVENTLET_HUB": "asyncio"}).stdout == "False\n"


def test_create_task_in_an_os_thread_without_green_threads_is_refused():
    seen = []

    def body():
        coro = double(1)
        try:
            asyncio.create_task(coro)  # noqa: RUF006 - it is refused
        except RuntimeError as error:
            seen.append(str(error))
        coro.close()

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(30)
    assert seen == ["no running event loop"]


def test_variable_makes_the_loop_visible_in_green_code(run_isolated):
    program = (
        "import asyncio, eventlet, eventlet.hubs\n"
        "def body(): return asyncio.get_running_loop() is eventlet.hubs.get_hub().loop\n"
        "print(eventlet.spawn(body).wait())\n"
    )
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_VISIBLE_LOOP": "1"}
    assert run_isolated(program, env).stdout == "True\n"


def test_visible_loop_leaves_tasks_to_their_coroutines_and_references_to_their_owners(
    run_isolated,
):
    """Switching neither shows a task to green code nor takes or loses a reference."""
    program = """
import asyncio, gc, sys, eventlet, eventlet.hubs
from eventlet.asyncio import spawn_for_awaitable

def green():
    loop = asyncio.get_running_loop()
    assert asyncio.current_task() is None
    eventlet.sleep(0)
    assert asyncio.get_running_loop() is loop

async def coroutine():
    task = asyncio.current_task()
    for _ in range(10):
        await eventlet.spawn(green)
        assert asyncio.current_task() is task

def round():
    others = [eventlet.spawn(green) for _ in range(10)]
    spawn_for_awaitable(coroutine()).wait()
    for other in others:
        other.wait()
    gc.collect()
    return sys.getrefcount(loop)

loop = eventlet.hubs.get_hub().loop
round()
counts = [round() for _ in range(5)]
assert len(set(counts)) == 1, counts
print("pass")
"""
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_VISIBLE_LOOP": "1"}
    assert run_isolated(program, env).stdout == "pass\n"


def test_hub_and_green_threads_are_no_tasks():
    seen = []

    async def main():
        await eventlet.spawn(lambda: None)
        seen.append(asyncio.all_tasks() == {asyncio.current_task()})

    spawn_for_awaitable(main()).wait()
    event_loop = hubs.get_hub().loop
    eventlet.sleep(0)
    assert seen == [True]
    assert asyncio.all_tasks(event_loop) == set()
    assert asyncio.current_task(event_loop) is None


def test_run_until_complete_of_the_hubs_loop_waits_cooperatively():
    event_loop = hubs.get_hub().loop
    log = []

    def body(value):
        log.append(value)
        return event_loop.run_until_complete(double(value))

    greens = [eventlet.spawn(body, i) for i in range(3)]
    assert event_loop.run_until_complete(double(10)) == 20
    assert [green.wait() for green in greens] == [0, 2, 4]
    assert log == [0, 1, 2]


def test_run_until_complete_of_the_hubs_loop_raises_in_a_coroutine():
    async def main():
        coro = double(1)
        with pytest.raises(RuntimeError, match="already running"):
            asyncio.get_running_loop().run_until_complete(coro)
        coro.close()
        return True

    assert spawn_for_awaitable(main()).wait()


def test_closing_the_hubs_loop_in_green_code_has_the_hub_take_another():
    event_loop = hubs.get_hub().loop
    green = eventlet.spawn_after(0.01, lambda: "later")
    eventlet.sleep(0)
    event_loop.close()
    assert event_loop.is_closed()
    assert green.wait() == "later"
    assert hubs.get_hub().loop is not event_loop
    other = hubs.get_hub().loop
    eventlet.spawn(other.close).wait()
    assert other.is_closed()
    assert await_(double(2)) == 4


def test_closing_another_loop_makes_none_for_the_hub(run_isolated):
    program = """
import asyncio
import eventlet.asyncio, eventlet.hubs
eventlet.hubs.get_hub()
made = []
asyncio.set_event_loop = made.append
asyncio.new_event_loop().close()
print(made)
"""
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert done.stdout == "[]\n"


def test_closing_the_hubs_loop_in_a_coroutine_is_refused():
    async def main():
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            asyncio.get_running_loop().close()
        return True

    assert spawn_for_awaitable(main()).wait()


def test_stop_in_a_coroutine_ends_neither_the_hub_nor_its_tasks(settle):
    log = []

    async def stops():
        asyncio.get_running_loop().stop()
        log.append("stopped")
        await asyncio.sleep(0)
        return await eventlet.spawn(lambda: "went on")

    assert await_(stops()) == "went on"
    assert eventlet.spawn_after(0.001, lambda: "timer").wait() == "timer"
    assert log == ["stopped"]


def test_reader_of_the_loop_and_a_green_wait_share_a_descriptor():
    event_loop = hubs.get_hub().loop
    left, right = socket.socketpair()
    log = []

    def reader():
        log.append("reader")
        event_loop.remove_reader(left)

    async def adds():
        asyncio.get_running_loop().add_reader(left, reader)

    def waits():
        trampoline(left, read=True)
        log.append("green")

    green = eventlet.spawn(waits)
    await_(adds())
    right.send(b"x")
    green.wait()
    while len(log) < 2:
        eventlet.sleep(0)
    assert sorted(log) == ["green", "reader"]
    left.close()
    right.close()


def test_run_forever_of_the_hubs_loop_returns_after_stop():
    event_loop = hubs.get_hub().loop
    log = []

    def body():
        eventlet.sleep(0)
        log.append("green")
        event_loop.stop()

    eventlet.sleep(0)
    eventlet.spawn(body)
    event_loop.run_forever()
    assert log == ["green"]
    assert await_(double(2)) == 4


# Which loop


@pytest.mark.parametrize("why", ["closed", "running"])
def test_loop_set_by_the_application_that_cannot_be_run_is_not_the_hubs(
    run_isolated, why
):
    program = """
import asyncio, threading
import eventlet, eventlet.hubs
set_ = asyncio.new_event_loop()
asyncio.set_event_loop(set_)
if WHY == "closed":
    set_.close()
else:
    running = threading.Event()
    set_.call_soon(running.set)
    thread = threading.Thread(target=set_.run_forever)
    thread.start()
    running.wait()
mine = eventlet.hubs.get_hub().loop
assert mine is not set_
assert eventlet.spawn(eventlet.sleep, 0.001).wait() is None
if WHY == "running":
    assert set_.is_running()
    set_.call_soon_threadsafe(set_.stop)
    thread.join()
    set_.close()
print("another")
"""
    done = run_isolated(f"WHY = {why!r}\n{program}", {"EVENTLET_HUB": "asyncio"})
    assert (done.stdout, done.stderr) == ("another\n", "")


# A library on both sides


def test_aiohttp_serves_and_asks_under_green_threads():
    web = pytest.importorskip("aiohttp.web")
    import aiohttp

    async def hello(request):
        await eventlet.spawn(eventlet.sleep, 0)
        return web.Response(text="hello world")

    async def serve():
        application = web.Application()
        application.router.add_get("/", hello)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        return runner, site._server.sockets[0].getsockname()[1]

    async def request(port):
        url = f"http://127.0.0.1:{port}/"
        async with aiohttp.ClientSession() as session, session.get(url) as response:
            return await response.text()

    runner, port = await_(serve())
    try:
        greens = [spawn_for_awaitable(request(port)) for _ in range(5)]
        assert {green.wait() for green in greens} == {"hello world"}
    finally:
        await_(runner.cleanup())
