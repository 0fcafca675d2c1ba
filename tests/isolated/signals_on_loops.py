"""
Signals while everything sleeps: handlers run in main at once, whatever loop runs, those of
``add_signal_handler`` on their own loop, and Ctrl-C ends a loop that main runs.
What a handler raises is raised in main's wait, whatever that is for; the hub goes on.
"""

# loops: uvloop

import asyncio
import importlib.util
import itertools
import os
import signal
import socket
import sys
import threading
import time

import eventlet
from eventlet import hubs
from eventlet.asyncio import await_
from eventlet.event import Event
from eventlet.hubs import trampoline
from eventlet.queue import LightQueue
from eventlet.semaphore import Semaphore

RUNNERS = [asyncio.run]
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    RUNNERS.append(uvloop.run)
PROMPT = 0.05


class Sender:
    """Another OS thread that sends a signal, a moment after it was asked to."""

    def __init__(self, number):
        self.number = number
        self.asked = threading.Event()
        self.thread = threading.Thread(target=self.send)
        self.thread.start()

    def go(self):
        """Have the signal sent; the handler is there and main is about to sleep."""
        self.asked.set()

    def send(self):
        """Send it, and note when."""
        self.asked.wait()
        time.sleep(0.01)
        self.sent = time.monotonic()
        os.kill(os.getpid(), self.number)


def promptly(wait, number=signal.SIGUSR1):
    """Call wait(go), which a signal ends; at the best of some attempts that is at once."""
    pauses = []
    for _ in range(5):
        sender = Sender(number)
        with eventlet.Timeout(20):
            wait(sender.go)
        pauses.append(time.monotonic() - sender.sent)
        sender.thread.join()
        if pauses[-1] < PROMPT:
            return
    raise AssertionError(pauses)


def plain_handler():
    """A handler that sends an event wakes the green thread that waits for it."""

    def wait(go):
        event = Event()
        where = []

        def handler(*_):
            where.append(threading.get_ident())
            event.send(None)

        signal.signal(signal.SIGUSR1, handler)
        green = eventlet.spawn(event.wait)
        go()
        green.wait()
        assert where == [threading.get_ident()]

    promptly(wait)
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)


def handler_of_the_hubs_loop():
    """add_signal_handler() of the hub's loop, also while green code runs another."""
    event_loop = hubs.get_hub().loop

    def wait(go):
        event = Event()
        event_loop.add_signal_handler(signal.SIGUSR1, event.send)
        go()
        event.wait()

    async def waits_for(go):
        await eventlet.spawn(wait, go)

    promptly(wait)
    for run in RUNNERS:
        promptly(lambda go, run=run: run(waits_for(go)))
        promptly(lambda go, run=run: eventlet.spawn(run, waits_for(go)).wait())
    event_loop.remove_signal_handler(signal.SIGUSR1)


async def handler_of_its_own(go):
    event_loop = asyncio.get_running_loop()
    done = asyncio.Event()
    event_loop.add_signal_handler(signal.SIGUSR1, done.set)
    go()
    await done.wait()
    event_loop.remove_signal_handler(signal.SIGUSR1)


async def interrupted(log):
    try:
        log.append("begun")
        Sender(signal.SIGINT).go()
        await asyncio.sleep(20)
    finally:
        log.append("cleaned up")


def loops_of_green_code(run):
    """add_signal_handler() of a loop that main or a green thread runs; Ctrl-C."""
    promptly(lambda go: run(handler_of_its_own(go)))
    promptly(lambda go: eventlet.spawn(run, handler_of_its_own(go)).wait())
    log = []
    try:
        run(interrupted(log))
    except KeyboardInterrupt:
        log.append("interrupted")
    assert log == ["begun", "cleaned up", "interrupted"], log
    assert eventlet.spawn(len, "abc").wait() == 3


def raised_in_waits():
    """What a handler raises ends main's wait and no other, and its cleanup may wait."""
    log = []

    def count():
        # Seldom: a signal that comes while it runs is its own.
        for number in itertools.count():
            log.append(number)
            eventlet.sleep(0.005)

    def leave(*_):
        sys.exit(3)

    def interrupted(go, wait, error):
        cleaned = []
        try:
            try:
                go()
                wait()
            finally:
                eventlet.sleep(0.002)
                cleaned.append(1)
        except error:
            assert cleaned
        else:
            raise AssertionError(wait)

    left, right = socket.socketpair()
    sleeper = eventlet.spawn(eventlet.sleep, 100)
    counter = eventlet.spawn(count)
    waits = [
        lambda: eventlet.sleep(20),
        lambda: trampoline(left, read=True),
        lambda: await_(asyncio.sleep(20)),
        Event().wait,
        LightQueue().get,
        Semaphore(0).acquire,
        sleeper.wait,
    ]
    signal.signal(signal.SIGTERM, leave)
    for number, error in [
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, SystemExit),
    ]:
        for wait in waits:
            promptly(
                lambda go, wait=wait, error=error: interrupted(go, wait, error), number
            )
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    seen = len(log)
    while len(log) < seen + 3:
        eventlet.sleep(0.001)
    assert log == list(range(len(log)))
    assert not sleeper.dead
    for green in (sleeper, counter):
        green.kill()
    left.close()
    right.close()


plain_handler()
raised_in_waits()
handler_of_the_hubs_loop()
for run in RUNNERS:
    loops_of_green_code(run)
# The wake-up descriptor is the hub's own, if any: none of those that are gone.
former = signal.set_wakeup_fd(-1)
if former != -1:
    os.fstat(former)
    signal.set_wakeup_fd(former)
plain_handler()
print("pass")
