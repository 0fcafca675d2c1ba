"""An outcome that comes while the waiter's hub is being made ends the wait."""

import threading

import eventlet
from eventlet import hubs
from eventlet.hubs.asyncio import Hub

green = eventlet.spawn(lambda: 42)
making, ended = threading.Event(), threading.Event()


class Slow(Hub):
    """Is made while the green thread ends."""

    def __init__(self, *args, **kwargs):
        making.set()
        ended.wait()
        super().__init__(*args, **kwargs)


def wait():
    got.append(green.wait())


got = []
hubs._chosen = Slow
thread = threading.Thread(target=wait)
thread.start()
making.wait()
eventlet.sleep(0.001)
assert green.dead
ended.set()
thread.join(10)
assert got == [42], got
print("pass")
