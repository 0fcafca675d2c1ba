"""Loops that green code runs: each is its green thread's alone, and others go on beside it."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import sys

import pytest

import eventlet
from eventlet import hubs
from eventlet.asyncio import spawn_for_awaitable
from eventlet.event import Event
from greenlet import GreenletExit

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


def test_blocking_green_call_in_a_coroutine_of_such_a_loop_suspends_its_task(run):
    async def main():
        other = asyncio.create_task(asyncio.sleep(0.001, "other"))
        eventlet.sleep(0.02)
        assert other.done()
        green = eventlet.spawn(eventlet.sleep, 0.001)
        green.wait()
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
    # The loop's cleanup may let others run.
    with pytest.raises(GreenletExit):
        green.wait()
    assert log == ["begun", "cleaned up"]


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


def test_loop_that_is_always_readable_does_not_starve_others(run):
    left, right = socket.socketpair()
    right.send(b"never read")
    stop = []

    async def main():
        event_loop = asyncio.get_running_loop()
        turns = 0

        def readable():
            nonlocal turns
            turns += 1
            if stop and not done.done():
                done.set_result(None)

        done = event_loop.create_future()
        event_loop.add_reader(left, readable)
        await done
        event_loop.remove_reader(left)
        return turns

    green = eventlet.spawn(run, main())
    for _ in range(5):
        eventlet.sleep(0.001)
    stop.append(1)
    assert green.wait() > 5
    left.close()
    right.close()


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


@pytest.mark.skipif(sys.version_info < (3, 11), reason="Runner is new in 3.11")
def test_runners_of_several_green_threads_run_at_the_same_time():
    events = [Event() for _ in range(2)]
    log = []

    async def main(i):
        # Each needs the other to have begun.
        events[i].send(i)
        return await eventlet.spawn(events[1 - i].wait)

    def body(i):
        with asyncio.Runner() as runner:
            log.append(("first", runner.run(main(i))))
            eventlet.sleep(0)
            log.append(("second", runner.run(double(i))))
        return "closed"

    greens = [eventlet.spawn(body, i) for i in range(2)]
    assert [green.wait() for green in greens] == ["closed", "closed"]
    assert sorted(log) == [("first", 0), ("first", 1), ("second", 0), ("second", 2)]


def test_loop_run_by_a_green_thread_stays_out_of_the_hubs_tasks(run):
    seen = []
    the_hubs = hubs.get_hub().loop

    async def main():
        seen.append(asyncio.all_tasks())
        seen.append(await eventlet.spawn(asyncio.all_tasks, the_hubs))
        return asyncio.current_task()

    green = eventlet.spawn(run, main())
    task = green.wait()
    assert seen == [{task}, set()]
