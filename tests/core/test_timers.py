"""Timers: order, cancellation, and what their callbacks hold."""

from __future__ import annotations

import gc
import weakref

import pytest

import eventlet
from eventlet import greenthread, hubs


def wait_until(condition):
    with eventlet.Timeout(20):
        while not condition():
            eventlet.sleep(0.001)


def test_earlier_deadlines_fire_first_and_equal_ones_in_order_of_creation():
    """Order is by time, then by creation, whatever else is scheduled between."""
    hub = hubs.get_hub()
    clock = hub.clock
    log = []
    try:
        now = clock()
        # One instant for all, so that deadlines are really equal.
        hub.clock = lambda: now
        for name, delay in [("c", 3), ("a", 1), ("b", 2), ("a2", 1), ("c2", 3)]:
            hub.schedule_call_global(delay / 1000, log.append, name)
    finally:
        hub.clock = clock
    wait_until(lambda: len(log) == 5)
    assert log == ["a", "a2", "b", "c", "c2"]


def test_due_calls_are_made_in_order_of_creation():
    """A hundred calls without delay keep their order."""
    log = []
    for number in range(100):
        hubs.get_hub().schedule_call_global(0, log.append, number)
    wait_until(lambda: len(log) == 100)
    assert log == list(range(100))


def test_cancelled_timer_never_fires_and_frees_what_it_calls():
    """cancel() is final, may be repeated, and lets go of callback and arguments."""

    class Thing:
        def method(self):
            log.append("called")

    log = []
    thing = Thing()
    reference = weakref.ref(thing)
    timer = hubs.get_hub().schedule_call_global(0.001, thing.method)
    soon = hubs.get_hub().schedule_call_global(0, thing.method)
    del thing
    for one in (timer, soon):
        assert one.pending
        one.cancel()
        one.cancel()
        assert not one.pending
    eventlet.sleep(0.005)
    gc.collect()
    assert log == []
    assert reference() is None


def test_many_cancelled_timers_are_forgotten():
    """The heap does not grow with timers that were cancelled long before they are due."""
    hub = hubs.get_hub()
    before = hub.get_timers_count()
    for _ in range(10_000):
        hub.schedule_call_global(1000, int).cancel()
    assert hub.get_timers_count() < before + 100


def test_local_timer_is_void_once_its_green_thread_has_ended():
    """Calls after the end of who scheduled them are not made; global ones are."""
    log = []

    def body():
        greenthread.call_after_local(0.002, log.append, "local")
        hubs.get_hub().schedule_call_local(0.002, log.append, "timer")
        greenthread.spawn_after_local(0.002, log.append, "spawn")
        hubs.get_hub().schedule_call_global(0.002, log.append, "global")

    eventlet.spawn(body).wait()
    wait_until(lambda: log)
    eventlet.sleep(0.005)
    assert log == ["global"]


def test_exc_after_raises_where_it_was_called():
    """The exception comes to the green thread that asked for it, if it still waits."""

    def body():
        greenthread.exc_after(0.001, KeyError("late"))
        eventlet.sleep(10)

    with pytest.raises(KeyError, match="late"):
        eventlet.spawn(body).wait()


def test_timer_may_schedule_timers():
    """Callbacks may add and cancel timers while timers fire."""
    hub = hubs.get_hub()
    log = []

    def again(number):
        log.append(number)
        victim.cancel()
        if number:
            hub.schedule_call_global(0, again, number - 1)

    victim = hub.schedule_call_global(0.001, log.append, "victim")
    hub.schedule_call_global(0.0, again, 50)
    wait_until(lambda: len(log) > 50)
    eventlet.sleep(0.003)
    assert log == list(range(50, -1, -1))


def test_sleep_refuses_what_is_no_time():
    """NaN and strings are errors; negative times are a yield, infinity is for ever."""
    with pytest.raises(ValueError, match="NaN"):
        eventlet.sleep(float("nan"))
    with pytest.raises(TypeError):
        eventlet.sleep("1")
    eventlet.sleep(-5)
    green = eventlet.spawn(eventlet.sleep, float("inf"))
    eventlet.sleep(0)
    green.kill()


def test_spinning_starves_neither_timers_nor_the_loop():
    """Green threads that only yield let timers, descriptors and asyncio have their turn."""
    stop = []

    def spin():
        while not stop:
            eventlet.sleep(0)

    greens = [eventlet.spawn(spin) for _ in range(3)]
    log = []
    eventlet.spawn_after(0.002, log.append, "timer")
    hubs.get_hub().loop.call_later(0.002, log.append, "loop")
    with eventlet.Timeout(20):
        while len(log) < 2:
            eventlet.sleep(0)
    stop.append(1)
    for green in greens:
        green.wait()
    assert sorted(log) == ["loop", "timer"]
