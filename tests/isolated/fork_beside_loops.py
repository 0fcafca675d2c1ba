"""
fork() while green threads run loops of their own: these go on in both processes, each on a
poller of its own, and neither hears or changes anything of the other's.
"""

# loops: uvloop
# ruff: noqa: D102 (the class is a prop)

import asyncio
import importlib.util
import os
import signal
import socket

import eventlet
from eventlet import hubs
from eventlet.event import Event

RUNNERS = [asyncio.run]
if importlib.util.find_spec("uvloop") is not None:
    import uvloop

    RUNNERS.append(uvloop.run)


def in_child(check):
    """Run the check in a forked child and return how that ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Server:
    """A loop that ticks, and answers on a socket."""

    def __init__(self, run):
        self.ticks = 0
        self.left, self.right = socket.socketpair()
        for end in (self.left, self.right):
            end.setblocking(False)
        self.green = eventlet.spawn(run, self.main())
        while not self.ticks:
            eventlet.sleep(0)

    async def main(self):
        self.loop = asyncio.get_running_loop()
        self.done = asyncio.Event()
        self.asked = []
        self.loop.add_reader(self.left, self.read)
        ticking = asyncio.ensure_future(self.tick())
        await self.done.wait()
        ticking.cancel()
        self.loop.remove_reader(self.left)
        return "done"

    def read(self):
        self.asked.append(self.left.recv(1))

    async def tick(self):
        while True:
            self.ticks += 1
            await asyncio.sleep(0.001)

    def works(self):
        before = self.ticks
        while self.ticks < before + 3:
            eventlet.sleep(0.001)
        self.right.send(b"x")
        self.asked.clear()
        while not self.asked:
            eventlet.sleep(0.001)
        # Green code schedules something while the loop sleeps, and so do OS threads.
        event = Event()
        self.loop.call_soon(event.send, "soon")
        assert event.wait() == "soon"
        event = Event()
        self.loop.call_soon_threadsafe(event.send, "safe")
        assert event.wait() == "safe"

    def ends(self):
        self.loop.call_soon(self.done.set)
        assert self.green.wait() == "done"


def works_and_ends(servers):
    for server in servers:
        server.works()
        server.ends()
    assert eventlet.spawn(asyncio.run, double(4)).wait() == 8


async def double(value):
    await asyncio.sleep(0)
    return value * 2


servers = [Server(run) for run in RUNNERS * 2]
for _ in range(3):
    assert in_child(lambda: works_and_ends(servers)) == 0
    # A child that changes its loops does not change its parent's.
    for server in servers:
        server.works()
assert eventlet.spawn(in_child, lambda: works_and_ends(servers)).wait() == 0


def replaces():
    hubs.use_hub()
    assert eventlet.spawn(asyncio.run, double(4)).wait() == 8


assert in_child(replaces) == 0


def signals_stay_in_the_child():
    heard = []
    signal.signal(signal.SIGUSR1, lambda *_: heard.append(os.getpid()))
    for server in servers:
        server.loop.call_soon(
            server.loop.add_signal_handler, signal.SIGUSR2, heard.append, "loop"
        )
        server.works()

    def check():
        os.kill(os.getpid(), signal.SIGUSR1)
        eventlet.sleep(0.001)
        assert heard == [os.getpid()]
        os.kill(os.getpid(), signal.SIGUSR2)
        eventlet.sleep(0.01)

    assert in_child(check) == 0
    for server in servers:
        server.works()
    assert heard == [], heard
    for server in servers:
        server.loop.call_soon(server.loop.remove_signal_handler, signal.SIGUSR2)
        server.works()


signals_stay_in_the_child()
works_and_ends(servers)
print("pass")
