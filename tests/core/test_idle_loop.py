"""The hub's turns where its own loop would sleep: nothing of the loop is forgotten there."""

from __future__ import annotations

import asyncio
import socket

import pytest

import eventlet
from eventlet import hubs, patcher
from eventlet.event import Event
from eventlet.greenio import GreenSocket

threading = patcher.original("threading")


@pytest.fixture
def event_loop():
    """Return the hub's own loop, which runs, and sleeps in epoll."""
    eventlet.sleep(0)
    event_loop = hubs.get_hub().loop
    if not isinstance(event_loop, asyncio.SelectorEventLoop):
        pytest.skip("the hub runs on another kind of loop")
    with eventlet.Timeout(20):
        yield event_loop


@pytest.fixture
def echo():
    """Return a green socket whose other end an OS thread echoes."""
    ours, theirs = socket.socketpair()

    def run():
        while data := theirs.recv(100):
            theirs.sendall(data)

    thread = threading.Thread(target=run)
    thread.start()
    green = GreenSocket(ours)
    yield green
    green.shutdown(socket.SHUT_RDWR)
    green.close()
    thread.join()
    theirs.close()


def test_round_trips_need_no_passes_of_the_loop(event_loop, echo, monkeypatch):
    """Or else each message to a single client would cost several times its turn."""
    passes = []
    kind = type(event_loop._selector)
    select = kind.select

    def counting(self, timeout=None):
        passes.append(timeout)
        return select(self, timeout)

    monkeypatch.setattr(kind, "select", counting)
    for _ in range(300):
        echo.sendall(b"x")
        assert echo.recv(10) == b"x"
    assert len(passes) < 30


def test_what_green_code_gives_to_the_loop_is_run(event_loop, echo):
    """Callbacks and timers, added in a turn that the loop does not know of."""
    for give in (
        event_loop.call_soon,
        event_loop.call_soon_threadsafe,
        lambda call: event_loop.call_later(0.001, call),
    ):
        done = Event()
        echo.sendall(b"x")
        echo.recv(10)
        give(done.send)
        done.wait()


def test_descriptors_of_the_loop_are_heard_among_messages(event_loop, echo):
    """A reader of the loop's has its turn while a green thread keeps the hub busy."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    heard = []
    event_loop.add_reader(ours, lambda: heard.append(ours.recv(10)))
    try:
        theirs.sendall(b"hello")
        while not heard:
            echo.sendall(b"x")
            echo.recv(10)
    finally:
        event_loop.remove_reader(ours)
        ours.close()
        theirs.close()
    assert heard == [b"hello"]


def test_descriptors_of_the_loop_are_heard_among_spinners(event_loop):
    """So are they where green threads are ready all the time."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    heard = []
    event_loop.add_reader(ours, lambda: heard.append(ours.recv(10)))
    others = [eventlet.spawn(spin, heard) for _ in range(3)]
    try:
        theirs.sendall(b"hello")
        for green in others:
            green.wait()
    finally:
        event_loop.remove_reader(ours)
        ours.close()
        theirs.close()
    assert heard == [b"hello"]


def spin(until):
    while not until:
        eventlet.sleep(0)


def test_running_loop_is_hidden_from_green_code_alone(event_loop, echo):
    """Behind such a turn a callback of the loop's still finds its loop."""
    seen = []

    def look():
        try:
            seen.append(asyncio.get_running_loop())
        except RuntimeError:
            seen.append(None)

    echo.sendall(b"x")
    echo.recv(10)
    look()
    done = Event()
    event_loop.call_soon(lambda: look() or done.send())
    done.wait()
    look()
    assert seen == [None, event_loop, None]


def test_loop_of_the_user_has_its_selector_again_afterwards(run_isolated):
    """A loop that was lent to the hub is given back as it was."""
    run_isolated(
        """
import asyncio, eventlet
from eventlet import hubs
event_loop = asyncio.new_event_loop()
selector = event_loop._selector
asyncio.set_event_loop(event_loop)
eventlet.sleep(0.01)
assert hubs.get_hub().loop is event_loop
assert event_loop._selector is not selector
hubs.get_hub().abort(wait=True)
assert not event_loop.is_running()
assert event_loop._selector is selector
event_loop.run_until_complete(asyncio.sleep(0.01))
event_loop.close()
""",
        {"EVENTLET_HUB": "asyncio"},
    )
