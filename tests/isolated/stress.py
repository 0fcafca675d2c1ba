"""
Random spawns, kills, switches, throws, timeouts and events under constant collection
crash nothing, lose no green thread, and leak no stack and no object.

``STRESS_SECONDS`` says how long, ``STRESS_SEED`` which sequence.
"""

# loops: uvloop

import contextlib
import faulthandler
import gc
import os
import random
import time

import eventlet
import greenlet
from eventlet import hubs
from eventlet.event import Event
from eventlet_asyncio import _core

SECONDS = float(os.environ.get("STRESS_SECONDS", "8"))
SEED = int(os.environ.get("STRESS_SEED", str(time.time_ns() % 1_000_000)))
DEEPEST = 12

print("seed", SEED, flush=True)
chance = random.Random(SEED)
faulthandler.dump_traceback_later(SECONDS + 25, exit=True)


class Boom(Exception):
    """What is thrown at green threads."""


class Node:
    """An object in a cycle, so that only the collector ends it."""

    alive = 0

    def __init__(self):
        self.me = self
        Node.alive += 1

    def __del__(self):
        Node.alive -= 1


class Switcher(Node):
    """Gives way while it is collected, wherever that happens."""

    def __del__(self):
        Node.alive -= 1
        if chance.random() < 0.3:
            with contextlib.suppress(BaseException):
                eventlet.sleep(0)


over = False
greens = []
raws = []
events = [Event() for _ in range(4)]


def pick(population):
    return population.pop(chance.randrange(len(population)))


def spawn(depth):
    how = chance.choice((eventlet.spawn, eventlet.spawn_n))
    green = how(work, depth + 1)
    if chance.random() < 0.8:
        greens.append(green)


def spawn_later(depth):
    greens.append(eventlet.spawn_after(chance.random() * 0.003, work, depth + 1))


def meddle(depth):
    node = Node()
    if not greens:
        return
    green = pick(greens)
    which = chance.random()
    if which < 0.3:
        eventlet.kill(green)
    elif which < 0.5:
        eventlet.kill(green, Boom())
    elif which < 0.6 and hasattr(green, "cancel"):
        green.cancel()
    elif which < 0.8 and hasattr(green, "wait"):
        with eventlet.Timeout(0.005, False):
            green.wait()
    elif hasattr(green, "link"):
        green.link(lambda _green: node)


def start_raw(depth):
    raw = greenlet.greenlet(back_and_forth)
    raw.switch(depth)
    if not raw.dead and chance.random() < 0.7:
        raws.append(raw)


def enter_raw(depth):
    if not raws:
        return
    raw = pick(raws)
    raw.parent = greenlet.getcurrent()
    if chance.random() < 0.5:
        raw.switch(Node())
    else:
        raw.throw(Boom)


def wait_for_event(depth):
    event = events[chance.randrange(4)]
    with eventlet.Timeout(chance.random() * 0.003, False):
        event.wait()


def send_event(depth):
    place = chance.randrange(4)
    event, events[place] = events[place], Event()
    if chance.random() < 0.5:
        event.send(Node())
    else:
        event.send_exception(Boom("sent"))


def time_out(depth):
    try:
        with eventlet.Timeout(0.0005):
            eventlet.sleep(0.002)
    except eventlet.Timeout:
        pass


def in_handler(depth):
    try:
        raise Boom(Node())
    except Boom:
        step(depth + 1)


def in_generator(depth):
    def generate():
        for number in range(3):
            step(depth + 1)
            yield number

    for _ in generate():
        pass


def in_c_code(depth):
    sorted([3, 1, 2], key=lambda value: (eventlet.sleep(0), value)[1])


def abandon(depth):
    for population in (greens, raws):
        place = chance.randrange(1 + len(population))
        # Looked at and taken at once: a collection in between may change the population.
        del population[place : place + (len(population) > 3)]


def call_later(depth):
    node = Node()
    hubs.get_hub().schedule_call_global(chance.random() * 0.002, lambda: node)


DEEDS = {
    lambda depth: eventlet.sleep(0): 15,
    lambda depth: eventlet.sleep(chance.random() * 0.002): 5,
    spawn: 10,
    spawn_later: 4,
    meddle: 10,
    start_raw: 6,
    enter_raw: 6,
    wait_for_event: 6,
    send_event: 4,
    time_out: 4,
    in_handler: 5,
    in_generator: 5,
    in_c_code: 2,
    abandon: 4,
    call_later: 2,
    lambda depth: Switcher(): 2,
    lambda depth: gc.collect(chance.randrange(3)): 2,
    lambda depth: None: 8,
}


def step(depth):
    if depth > 2 * DEEPEST or over:
        return
    node = Node()
    chance.choices(list(DEEDS), list(DEEDS.values()))[0](depth)
    del node


def work(depth):
    node = Node()
    if depth <= DEEPEST:
        for _ in range(chance.randrange(1, 8)):
            try:
                step(depth)
            except Boom:
                if chance.random() < 0.3:
                    raise
    return node


def back_and_forth(depth):
    node = Node()
    for _ in range(chance.randrange(5)):
        try:
            node = greenlet.getcurrent().parent.switch(node)
        except Boom:
            if chance.random() < 0.5:
                raise


def stress():
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            if len(greens) < 50:
                greens.append(eventlet.spawn(work, 0))
            step(0)
            eventlet.sleep(0)
        except Boom:
            pass
        if len(greens) > 300:
            for green in greens[:200]:
                eventlet.kill(green)
            del greens[:200]


def wind_down():
    global over
    over = True
    while greens:
        eventlet.kill(greens.pop())
    raws.clear()
    for event in events:
        event.send(None)
    events[:] = [None] * 4


hubs.get_hub().debug_exceptions = False
gc.set_threshold(1)
stress()
gc.set_threshold(700)
wind_down()


def leftovers():
    """Return what is still there beyond main, the hub's own greenlet and its stack."""
    gc.collect()
    greenlets = [it for it in gc.get_objects() if isinstance(it, greenlet.greenlet)]
    known = (greenlet.getcurrent(), hubs.get_hub().greenlet)
    return (
        max(_core._stack_statistics()["in_use"] - 1, 0),
        Node.alive,
        [it for it in greenlets if it not in known],
    )


# Some go on for a while.
patience = time.monotonic() + 10
while leftovers() != (0, 0, []) and time.monotonic() < patience:
    eventlet.sleep(0.01)
    greens.clear()
    raws.clear()
assert leftovers() == (0, 0, []), leftovers()
print("pass")
