"""Promises of `eventlet.corolocal`: each green thread sees its own attributes."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

import eventlet
import greenlet
from eventlet import corolocal


class Value:
    """Something that can be watched dying."""


def test_local_hides_attributes_of_other_green_threads():
    shared = corolocal.local()
    shared.name = "main"

    def other():
        seen_before = getattr(shared, "name", None)
        shared.name = "other"
        return seen_before, shared.name

    assert eventlet.spawn(other).wait() == (None, "other")
    assert shared.name == "main"


def test_local_keeps_attributes_across_switches():
    shared = corolocal.local()
    seen = []

    def worker(number):
        shared.number = number
        eventlet.sleep(0)
        seen.append(shared.number == number)

    for thread in [eventlet.spawn(worker, n) for n in range(10)]:
        thread.wait()
    assert seen == [True] * 10


def test_local_calls_init_once_in_each_green_thread_with_the_same_arguments():
    calls = []

    class Configured(corolocal.local):
        def __init__(self, size, *, name):
            calls.append((size, name))
            self.size = size

    shared = Configured(3, name="x")
    assert shared.size == 3

    def other():
        shared.size += 1
        return shared.size

    assert [eventlet.spawn(other).wait() for _ in range(2)] == [4, 4]
    assert calls == [(3, "x")] * 3


def test_local_without_init_refuses_arguments():
    with pytest.raises(TypeError, match="__init__"):
        corolocal.local(1)


def test_local_shares_slots_and_class_attributes():
    class Mixed(corolocal.local):
        __slots__ = ("slot",)
        default = "class"

    shared = Mixed()
    shared.slot = 1

    def other():
        return shared.slot, shared.default

    assert eventlet.spawn(other).wait() == (1, "class")


def test_local_honours_properties():
    class Doubled(corolocal.local):
        @property
        def double(self):
            return self.value * 2

        @double.setter
        def double(self, number):
            self.value = number // 2

        @double.deleter
        def double(self):
            del self.value

    shared = Doubled()
    shared.double = 10
    assert (shared.value, shared.double) == (5, 10)
    del shared.double
    assert not hasattr(shared, "value")


def test_local_dict_is_the_callers_and_cannot_be_replaced():
    shared = corolocal.local()
    shared.a = 1
    assert shared.__dict__ == {"a": 1}
    assert vars(shared) == {"a": 1}
    assert "a" in dir(shared)
    with pytest.raises(AttributeError, match="read-only"):
        shared.__dict__ = {}
    with pytest.raises(AttributeError, match="read-only"):
        del shared.__dict__


def test_local_deletes_only_what_is_there():
    shared = corolocal.local()
    shared.a = 1
    del shared.a
    with pytest.raises(AttributeError, match="'a'"):
        del shared.a
    with pytest.raises(AttributeError, match="'a'"):
        _ = shared.a


def test_local_values_die_with_their_green_thread_even_in_a_cycle():
    """A value that refers to its own green thread must not keep it for ever."""
    shared = corolocal.local()
    dying = []

    def worker():
        value = Value()
        value.owner = eventlet.getcurrent()
        shared.value = value
        dying.append(weakref.ref(value))

    eventlet.spawn(worker).wait()
    eventlet.spawn_n(worker)
    greenlet.greenlet(worker).switch()
    eventlet.sleep(0)
    # Those of the last user are remembered, for speed.
    assert not hasattr(shared, "value")
    gc.collect()
    assert [value() for value in dying] == [None] * 3


def test_local_value_that_refers_to_its_local_is_collected():
    shared = corolocal.local()
    shared.value = Value()
    shared.value.local = shared
    dying = weakref.ref(shared.value)
    del shared
    gc.collect()
    assert dying() is None


def test_local_values_of_green_threads_die_with_the_local_at_once():
    """Without a collection: files and connections are kept in locals."""
    holder = [corolocal.local()]
    resume = eventlet.Event()
    dying = []

    def worker():
        holder[0].value = Value()
        dying.append(weakref.ref(holder[0].value))
        resume.wait()

    thread = eventlet.spawn(worker)
    eventlet.sleep(0)
    assert dying[0]() is not None
    holder.clear()
    assert dying[0]() is None
    resume.send()
    thread.wait()


def test_local_values_die_with_the_local():
    shared = corolocal.local()
    shared.value = Value()
    dying = weakref.ref(shared.value)
    del shared
    gc.collect()
    assert dying() is None


def test_local_differs_between_os_threads():
    shared = corolocal.local()
    shared.name = "here"
    seen = []

    def other():
        seen.append(getattr(shared, "name", None))
        shared.name = "there"

    thread = threading.Thread(target=other)
    thread.start()
    thread.join()
    assert seen == [None]
    assert shared.name == "here"


def test_get_ident_differs_between_green_threads_and_is_stable():
    main = corolocal.get_ident()
    first, second = (eventlet.spawn(corolocal.get_ident) for _ in range(2))
    assert corolocal.get_ident() == main
    assert len({main, first.wait(), second.wait()}) == 3
