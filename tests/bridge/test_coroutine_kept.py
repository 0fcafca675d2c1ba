"""Coroutines that wait in green calls are kept by what will wake them, as green threads are."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

import eventlet
from eventlet.asyncio import spawn_for_awaitable
from eventlet.green import socket


def collected():
    for _ in range(3):
        gc.collect()
        eventlet.sleep(0)


class Waits:
    """What a coroutine may wait for, and how that comes."""

    def __init__(self):
        self.one, self.two = socket.socketpair()
        self.event, self.queue = eventlet.Event(), eventlet.Queue()
        self.lock = eventlet.Semaphore(0)

    def wait(self, how):
        """Wait in a green call."""
        return {
            "recv": lambda: self.one.recv(1),
            "sleep": lambda: eventlet.sleep(0.02),
            "event": self.event.wait,
            "queue": self.queue.get,
            "lock": self.lock.acquire,
            "thread": lambda: eventlet.tpool.execute(sum, [1]),
        }[how]()

    def come(self):
        """Let all waits end."""
        self.two.send(b"x")
        self.event.send(1)
        self.queue.put(1)
        self.lock.release()

    def close(self):
        """Close what is open."""
        self.one.close()
        self.two.close()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("how", ["recv", "sleep", "event", "queue", "lock", "thread"])
def test_coroutine_nobody_refers_to_goes_on_when_its_wait_ends(how, nested):
    """A collection in between takes nothing away that will be woken."""
    waits, done = Waits(), []

    async def inner():
        waits.wait(how)
        await asyncio.sleep(0)
        waits.wait("sleep")
        return how

    async def body():
        task = asyncio.create_task(inner()) if nested else inner()
        done.append(await task)

    spawn_for_awaitable(body())
    eventlet.sleep(0)
    eventlet.sleep(0)
    collected()
    waits.come()
    with eventlet.Timeout(20):
        while not done:
            eventlet.sleep(0.001)
    assert done == [how]
    waits.close()
    eventlet.tpool.killall()


def test_coroutine_that_has_ended_is_freed_at_once():
    """Without a collection: nothing of a wait stays behind."""

    class Value:
        pass

    dying = []

    async def body():
        value = Value()
        dying.append(weakref.ref(value))
        eventlet.sleep(0)
        await asyncio.sleep(0)
        eventlet.sleep(0)

    gc.collect()
    gc.disable()
    try:
        spawn_for_awaitable(body()).wait()
        eventlet.sleep(0)
        assert dying[0]() is None
    finally:
        gc.enable()
