"""
A hub is replaced while green threads wait: they wait on under the next one, what was known to
the former one is not mistaken for something of the next, and a greenlet of its own that has
died is replaced once, whatever happens meanwhile. Main waits on, too, or is told.
"""

# loops: uvloop

import gc
import socket

import eventlet
from eventlet import hubs
from eventlet.event import Event
from eventlet.hubs import trampoline
from eventlet.queue import LightQueue, Queue
from eventlet.semaphore import Semaphore


def waits_go_on():
    semaphore, empty, full, work = Semaphore(0), LightQueue(), LightQueue(1), Queue()
    full.put(1)
    work.put(1)
    done = []
    waits = {
        "acquire": semaphore.acquire,
        "get": empty.get,
        "put": lambda: full.put(2),
        "join": work.join,
    }

    def wait(name):
        waits[name]()
        done.append(name)

    greens = [eventlet.spawn_n(wait, name) for name in waits]
    eventlet.sleep(0)
    hubs.use_hub("poll")
    hubs.use_hub("asyncio")
    gc.collect()
    clutter = [bytearray(size) for size in range(64, 4096, 8)]
    # Switched to by hand they find nothing, and wait again.
    for green in greens:
        eventlet.spawn_n(green.switch)
    eventlet.sleep(0.005)
    assert not done
    semaphore.release()
    empty.put(1)
    full.get()
    work.task_done()
    eventlet.sleep(0.005)
    assert sorted(done) == sorted(waits), done
    assert len(clutter) > 100


def timers_of_the_former_hub():
    green = eventlet.spawn_after(10, print, "never")
    timer = hubs.get_hub()._add_timer(10, print)
    hubs.use_hub("poll")
    sleepers = [eventlet.spawn(eventlet.sleep, 0.01) for _ in range(2)]
    eventlet.sleep(0)
    green.cancel()
    assert not hubs.get_hub()._cancel_timer(timer)
    with eventlet.Timeout(5):
        for sleeper in sleepers:
            sleeper.wait()
    hubs.use_hub("asyncio")


def greenlet_made_twice():
    class Nested(type(hubs.get_hub())):
        asked = 0

        @property
        def run(self):
            Nested.asked += 1
            if Nested.asked == 2:
                self.ensure_greenlet()
            return super().run

    hubs.use_hub(Nested)
    hub = hubs.get_hub()
    hub.greenlet.throw()
    assert hub.greenlet.dead
    hub.ensure_greenlet()
    clutter = [object() for _ in range(10000)]
    assert not hub.greenlet.dead
    assert eventlet.spawn(len, clutter).wait() == 10000
    hubs.use_hub("asyncio")


def main_waits(name):
    """Green code replaces the hub on which main waits."""
    log = []

    def replace(event=None):
        former = hubs.get_hub()
        hubs.use_hub(name)
        assert hubs.get_hub() is not former
        log.append("replaced")
        if event is not None:
            eventlet.sleep(0.001)
            event.send("sent")

    def waits(wait, *args):
        log.clear()
        eventlet.spawn(replace, *args)
        return wait()

    waits(lambda: eventlet.sleep(0.01))
    assert log == ["replaced"]
    waits(lambda: eventlet.sleep(0))
    assert log == ["replaced"]
    event = Event()
    assert waits(event.wait, event) == "sent"
    event = Event()
    assert waits(lambda: event.wait(60), event) == "sent"
    assert waits(lambda: Event().wait(0.01)) is None
    left, right = socket.socketpair()
    for timeout in (None, 60):
        try:
            waits(lambda timeout=timeout: trampoline(left, read=True, timeout=timeout))
        except RuntimeError as error:
            assert "replaced by a green thread" in str(error), error
        else:
            raise AssertionError
    right.send(b"x")
    trampoline(left, read=True)
    left.close()
    right.close()


for name in ("asyncio", "poll", "asyncio"):
    main_waits(name)
waits_go_on()
timers_of_the_former_hub()
greenlet_made_twice()
print("pass")
