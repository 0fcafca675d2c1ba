"""The loop that carries a hub sleeps in a selector of the hub's."""

from __future__ import annotations

import asyncio
import gc
import selectors
import socket
import threading
import weakref

import pytest

import eventlet
import eventlet.asyncio
from eventlet.greenio import GreenSocket
from eventlet_asyncio import _core


@pytest.fixture
def event_loop():
    """Make a loop of asyncio's own kind, to be run with green threads beside it."""
    event_loop = asyncio.SelectorEventLoop(selectors.EpollSelector())
    yield event_loop
    if not event_loop.is_closed():
        event_loop.close()


def beside_green(event_loop, coroutine):
    """Run a coroutine on a loop that carries the hub from its start."""

    async def main():
        await eventlet.spawn(int)
        return await coroutine

    return event_loop.run_until_complete(main())


def in_os_thread(function):
    """Run where no hub and no loop are in use yet."""
    outcome = []
    thread = threading.Thread(target=lambda: outcome.append(function()))
    thread.start()
    thread.join(20)
    (result,) = outcome
    return result


def test_selector_is_there_while_the_loop_carries_the_hub(event_loop):
    """A loop gets its own selector back when the hub goes to another one."""

    def run():
        own = event_loop._selector

        async def main():
            return type(event_loop._selector)

        during = beside_green(event_loop, main())
        asyncio.run(asyncio.wait_for(eventlet.spawn(int), 10))
        eventlet.sleep(0)
        return during, event_loop._selector is own

    assert in_os_thread(run) == (_core._LoopSelector, True)


def test_selector_reports_what_asyncios_own_would(event_loop):
    """Data, room to write, the end of a stream and errors have the masks of EpollSelector."""

    def run():
        ends = [end for _ in range(4) for end in socket.socketpair()]
        full, _, read, peer, over, closed, both, other = ends
        full.setblocking(False)
        with pytest.raises(BlockingIOError):
            while True:
                full.send(bytes(65536))
        peer.send(b"x")
        closed.close()
        other.send(b"x")
        wanted = {
            full: selectors.EVENT_WRITE,
            read: selectors.EVENT_READ,
            over: selectors.EVENT_READ | selectors.EVENT_WRITE,
            both: selectors.EVENT_READ | selectors.EVENT_WRITE,
        }

        async def main():
            plain = selectors.EpollSelector()
            for end, mask in wanted.items():
                event_loop._selector.register(end, mask, "data")
                plain.register(end, mask, "data")
            expected = {(key.fileobj, key.data, mask) for key, mask in plain.select(0)}
            found = event_loop._selector.select(0)
            for end in wanted:
                event_loop._selector.unregister(end)
            plain.close()
            return expected, {
                (key.fileobj, key.data, mask)
                for key, mask in found
                if key.fileobj in wanted
            }

        expected, found = beside_green(event_loop, main())
        for end in ends:
            end.close()
        return expected, found, {read, over, both}

    expected, found, reported = in_os_thread(run)
    assert found == expected
    assert {end for end, _, _ in found} == reported


def test_green_code_between_sleeps_needs_no_pass_of_the_loop(event_loop):
    """Or else each message to a single client would cost several times its turn."""
    passes = []
    ours, theirs = socket.socketpair()
    run_once = event_loop._run_once

    def counting():
        passes.append(None)
        run_once()

    def echo():
        while data := theirs.recv(10):
            theirs.sendall(data)

    def talk():
        green = GreenSocket(ours)
        passes.clear()
        for _ in range(300):
            green.sendall(b"x")
            assert green.recv(10) == b"x"
        return len(passes)

    def run():
        async def main():
            return await eventlet.spawn(talk)

        event_loop._run_once = counting
        return beside_green(event_loop, main())

    peer = threading.Thread(target=echo)
    peer.start()
    count = in_os_thread(run)
    ours.close()
    peer.join(20)
    theirs.close()
    assert count < 30


def test_callbacks_after_such_a_turn_find_their_loop(event_loop):
    """The running loop is hidden from green code alone."""
    seen = []

    def look():
        seen.append(asyncio._get_running_loop())

    def green():
        eventlet.sleep(0.01)
        look()
        event_loop.call_soon(look)
        event_loop.call_soon(event_loop.stop)

    def run():
        beside_green(event_loop, asyncio.sleep(0))
        eventlet.spawn_n(green)
        event_loop.run_forever()

    in_os_thread(run)
    assert seen == [None, event_loop]


def test_green_code_gives_the_sleeping_loop_a_timer(event_loop):
    """A loop that sleeps for long sees a timer that green code adds meanwhile."""
    log = []

    def green():
        eventlet.sleep(0.01)
        event_loop.call_later(0.01, log.append, "timer")
        event_loop.call_later(0.02, done.set_result, None)
        log.append("green")

    def run():
        async def main():
            nonlocal done
            done = event_loop.create_future()
            event_loop.call_later(60, log.append, "late")
            eventlet.spawn_n(green)
            await done

        beside_green(event_loop, main())

    done = None
    in_os_thread(run)
    assert log == ["green", "timer"]


def test_green_code_gives_the_sleeping_loop_a_callback(event_loop):
    """call_soon() by green code is served at once, though nothing else happens."""
    log = []

    def green():
        eventlet.sleep(0.01)
        event_loop.call_soon(log.append, "callback")
        event_loop.call_soon(event_loop.stop)
        log.append("green")

    def run():
        beside_green(event_loop, asyncio.sleep(0))
        eventlet.spawn_n(green)
        event_loop.run_forever()

    in_os_thread(run)
    assert log == ["green", "callback"]


def test_green_code_stops_the_sleeping_loop(event_loop):
    """stop() by green code ends run_forever()."""

    def run():
        beside_green(event_loop, asyncio.sleep(0))
        eventlet.spawn_after(0.01, event_loop.stop)
        event_loop.run_forever()
        return "stopped"

    assert in_os_thread(run) == "stopped"


def test_callbacks_that_wait_come_before_green_code(event_loop):
    """Callbacks of the loop and green threads take turns, first come, first served."""
    log = []

    def run():
        async def main():
            event_loop.call_soon(log.append, "first")
            green = eventlet.spawn(log.append, "green")
            event_loop.call_soon(log.append, "second")
            await green

        beside_green(event_loop, main())

    in_os_thread(run)
    assert log == ["first", "second", "green"]


def test_busy_green_threads_leave_the_loop_its_descriptors(event_loop):
    """A reader of the loop is called while green threads are always ready."""
    left, right = socket.socketpair()

    def run():
        async def main():
            readable = event_loop.create_future()
            event_loop.add_reader(left, readable.set_result, None)
            busy = eventlet.spawn(spin)
            eventlet.spawn_after(0.01, right.send, b"x")
            await readable
            event_loop.remove_reader(left)
            busy.kill()
            return "read"

        return beside_green(event_loop, main())

    def spin():
        while True:
            eventlet.sleep(0)

    assert in_os_thread(run) == "read"
    left.close()
    right.close()


def test_signal_handler_wakes_a_sleeping_loop(run_isolated):
    """What a handler gives the loop to do is done, and what it raises comes out."""
    program = """
import asyncio, os, signal, threading
import eventlet
async def main():
    event_loop = asyncio.get_running_loop()
    await eventlet.spawn(int)
    done = event_loop.create_future()
    def wake(*_):
        found = asyncio.get_running_loop()
        found.call_soon(done.set_result, found is event_loop)
    signal.signal(signal.SIGUSR1, wake)
    # A turn before the signal, in the same sleep.
    eventlet.spawn_after(0.01, int)
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1]).start()
    print(await asyncio.wait_for(done, 20))
    def fail(*_):
        raise KeyboardInterrupt("here")
    signal.signal(signal.SIGUSR1, fail)
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGUSR1]).start()
    await asyncio.sleep(20)
try:
    asyncio.run(main())
except KeyboardInterrupt as error:
    print("raised", error)
"""
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert (done.stdout.splitlines(), done.stderr) == (["True", "raised here"], "")


def test_loop_that_carried_a_hub_is_collected():
    """The selector keeps neither the loop nor its handlers alive."""

    def run():
        event_loop = asyncio.SelectorEventLoop(selectors.EpollSelector())
        beside_green(event_loop, asyncio.sleep(0))
        event_loop.close()
        gone = weakref.ref(event_loop)
        del event_loop
        # The hub goes to another loop.
        eventlet.sleep(0)
        asyncio.run(asyncio.wait_for(eventlet.spawn(int), 10))
        gc.collect()
        return gone() is None

    assert in_os_thread(run)
