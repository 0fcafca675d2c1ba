"""Event loops: the hub's, hidden or visible, and those that green code runs."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import threading

import pytest

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_, spawn_for_awaitable
from eventlet.event import Event
from eventlet.hubs import trampoline

RUNNERS = {"asyncio": asyncio.run}
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    RUNNERS["uvloop"] = uvloop.run


@pytest.fixture(params=RUNNERS)
def run(request):
    """Give the test a function that runs a coroutine on a loop of its own."""
    return RUNNERS[request.param]


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


# Loops that green code runs


def test_loop_run_by_main_after_green_calls_runs_green_threads(run):
    log = []

    def body():
        for i in range(3):
            log.append(i)
            eventlet.sleep(0)
        return "green"

    async def main():
        return await eventlet.spawn(body), await spawn_for_awaitable(double(4))

    eventlet.sleep(0)
    for _ in range(2):
        assert run(main()) == ("green", 8)
    assert log == [0, 1, 2] * 2


def test_loop_run_by_a_green_thread_lets_others_run(run):
    event = Event()

    async def main():
        return await eventlet.spawn(event.wait)

    def other():
        eventlet.sleep(0)
        event.send("sent")

    green = eventlet.spawn(run, main())
    eventlet.spawn(other)
    assert green.wait() == "sent"


def test_loops_of_several_green_threads_run_at_the_same_time(run):
    events = [Event() for _ in range(3)]

    async def main(i):
        # Each needs the next to have begun.
        events[i].send(i)
        return await eventlet.spawn(events[(i + 1) % 3].wait)

    greens = [eventlet.spawn(run, main(i)) for i in range(3)]
    assert [green.wait() for green in greens] == [1, 2, 0]


def test_tasks_of_the_hubs_loop_go_on_while_green_code_runs_another(run, gate):
    log = []

    async def beneath():
        log.append("waits")
        log.append(await gate)
        event.send("from beneath")

    async def main():
        return await eventlet.spawn(event.wait)

    event = Event()
    green = spawn_for_awaitable(beneath())
    eventlet.sleep(0)
    gate.open("opened")
    assert run(main()) == "from beneath"
    green.wait()
    assert log == ["waits", "opened"]


def test_blocking_green_call_in_a_coroutine_of_such_a_loop_is_refused(run):
    async def main():
        with pytest.raises(RuntimeError, match="await"):
            eventlet.sleep(1)
        green = eventlet.spawn(eventlet.sleep, 60)
        with pytest.raises(RuntimeError, match="await"):
            green.wait()
        green.kill()
        return True

    eventlet.sleep(0)
    assert run(main())
    assert eventlet.spawn(run, main()).wait()


def test_other_green_threads_do_not_see_such_a_loop(run):
    seen = []

    def look():
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            seen.append("hidden")

    async def main():
        await eventlet.spawn(look)
        asyncio.get_running_loop()
        return True

    assert eventlet.spawn(run, main()).wait()
    assert seen == ["hidden"]


def test_future_of_such_a_loop_can_be_set_by_other_green_threads(run):
    futures = []

    async def main():
        futures.append(asyncio.get_running_loop().create_future())
        return await futures[0]

    green = eventlet.spawn(run, main())
    while not futures:
        eventlet.sleep(0)
    eventlet.sleep(0)
    futures[0].set_result("set")
    assert green.wait() == "set"


def test_killed_green_thread_cancels_the_tasks_of_its_loop(run):
    log = []

    async def main():
        try:
            log.append("begun")
            await asyncio.sleep(60)
        finally:
            log.append("cleaned up")

    green = eventlet.spawn(run, main())
    while not log:
        eventlet.sleep(0)
    eventlet.sleep(0)
    green.kill()
    assert log == ["begun", "cleaned up"]
    assert green.dead


def test_busy_loop_of_a_green_thread_does_not_starve_others(run):
    stop = []

    async def main():
        turns = 0
        while not stop:
            turns += 1
            await asyncio.sleep(0)
        return turns

    green = eventlet.spawn(run, main())
    for _ in range(5):
        eventlet.sleep(0.001)
    stop.append(1)
    assert green.wait() > 5


def test_green_threads_suspended_when_a_program_ends_go_on_under_the_next(run_isolated):
    done = run_isolated(
        "import asyncio, eventlet\n"
        "from eventlet.event import Event\n"
        "event, log = Event(), []\n"
        "def body():\n"
        "    log.append('begun')\n"
        "    eventlet.sleep(0.01)\n"
        "    log.append('went on')\n"
        "    done.set()\n"
        "async def first():\n"
        "    global done\n"
        "    done = asyncio.Event()\n"
        "    eventlet.spawn(body)\n"
        "    await eventlet.spawn(eventlet.sleep, 0)\n"
        "async def second():\n"
        "    await done.wait()\n"
        "asyncio.run(first())\n"
        "log.append('between')\n"
        "asyncio.run(second())\n"
        "print(log)\n",
        {"EVENTLET_HUB": "asyncio"},
    )
    assert done.stdout == "['begun', 'between', 'went on']\n"


def test_green_threads_spawned_before_the_programs_loop_run_under_it(run_isolated):
    done = run_isolated(
        "import asyncio, eventlet\n"
        "log = []\n"
        "async def main():\n"
        "    while not log: await asyncio.sleep(0)\n"
        "eventlet.spawn(log.append, 'ran')\n"
        "asyncio.run(main())\n"
        "print(log)\n",
        {"EVENTLET_HUB": "asyncio"},
    )
    assert done.stdout == "['ran']\n"


def test_uvloop_imported_after_the_hub_runs_green_threads(run_isolated):
    pytest.importorskip("uvloop")
    done = run_isolated(
        "import eventlet\n"
        "eventlet.sleep(0)\n"
        "import uvloop\n"
        "async def main(): return await eventlet.spawn(lambda: 'green')\n"
        "print(uvloop.run(main()))\n"
        "print(eventlet.spawn(lambda: 'after').wait())\n",
        {"EVENTLET_HUB": "asyncio"},
    )
    assert done.stdout == "green\nafter\n"


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
