"""
A hub is replaced while green threads wait: they wait on under the next one, what was known to
the former one is not mistaken for something of the next, and a greenlet of its own that has
died is replaced once, whatever happens meanwhile.
"""

import gc

import eventlet
from eventlet import hubs
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


waits_go_on()
timers_of_the_former_hub()
greenlet_made_twice()
print("pass")
