"""
The lock and the conditions of the standard queues, which programs and subclasses use.

Each test runs with the queues of the standard library in OS threads, and with the green
ones: both must do the same.
"""

from __future__ import annotations

import gc
import queue
import threading
import weakref

import pytest

import eventlet
from eventlet.green import Queue
from eventlet.green import threading as green_threading


@pytest.fixture(params=["standard", "green"])
def world(request):
    """Return the modules `queue` and `threading`, standard or green."""
    if request.param == "standard":
        return queue, threading
    return Queue, green_threading


KINDS = pytest.mark.parametrize("kind", ["Queue", "LifoQueue", "PriorityQueue"])


def started(module, *functions):
    """Start threads of either kind."""
    threads = [module.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    return threads


@KINDS
def test_a_queue_is_cleared_under_its_lock(world, kind):
    """The well-known recipe wakes those who wait in join()."""
    modules, threads = world
    made = getattr(modules, kind)()
    for item in range(3):
        made.put(item)
    waiting = started(threads, made.join)
    with made.mutex:
        assert len(made.queue) == 3
        made.queue.clear()
        made.all_tasks_done.notify_all()
        made.unfinished_tasks = 0
    waiting[0].join(5)
    assert not waiting[0].is_alive()
    assert made.empty()
    made.put(7)
    assert made.get() == 7


def test_the_end_of_all_tasks_is_awaited_with_a_timeout(world):
    """As clients that send in the background do when they are flushed."""
    modules, threads = world
    made = modules.Queue()
    made.put(1)
    with made.all_tasks_done:
        assert not made.all_tasks_done.wait(0.01)

    def work():
        made.get_nowait()
        made.task_done()

    with made.all_tasks_done:
        started(threads, work)
        assert made.all_tasks_done.wait(5)
        assert made.unfinished_tasks == 0


def test_a_subclass_waits_for_items_with_the_condition(world):
    """Nothing is there at first, then put() and put_nowait() wake it."""
    modules, threads = world

    class Bulk(modules.Queue):
        def get_all(self, least):
            with self.not_empty:
                while self._qsize() < least:
                    self.not_empty.wait()
                items = [self._get() for _ in range(self._qsize())]
                self.not_full.notify_all()
                return items

    made = Bulk(3)
    seen = []
    (bulk,) = started(threads, lambda: seen.append(made.get_all(3)))
    made.put(1)
    made.put_nowait(2)
    made.put(3)
    bulk.join(5)
    assert seen == [[1, 2, 3]]
    # A put that waits for room goes on when the bulk was taken.
    for item in range(3):
        made.put(item)
    (late,) = started(threads, lambda: made.put(9))
    assert made.get_all(3) == [0, 1, 2]
    late.join(5)
    assert made.get(timeout=5) == 9


def test_a_subclass_stores_behind_the_queue_and_notifies(world):
    """It serves a plain get() that waits, although the queue is full."""
    modules, threads = world

    class Urgent(modules.Queue):
        def put_anyway(self, item):
            with self.mutex:
                self._put(item)
                self.unfinished_tasks += 1
                self.not_empty.notify()

    made = Urgent(1)
    seen = []
    (getter,) = started(threads, lambda: seen.append(made.get()))
    made.put_anyway(1)
    getter.join(5)
    assert seen == [1]
    made.put(2)
    made.put_anyway(3)
    assert [made.get(), made.get()] == [2, 3]
    for _ in range(3):
        made.task_done()
    made.join()


def test_room_is_awaited_with_the_condition(world):
    modules, threads = world
    made = modules.Queue(1)
    made.put(1)
    with made.not_full:
        assert not made.not_full.wait(0.01)
        started(threads, made.get)
        assert made.not_full.wait(5)


def test_a_condition_without_its_lock_is_refused(world):
    modules, _ = world
    made = modules.Queue()
    for condition in (made.not_empty, made.not_full, made.all_tasks_done):
        with pytest.raises(RuntimeError, match="un-acquired"):
            condition.notify()
        with pytest.raises(RuntimeError, match="un-acquired"):
            condition.wait()


def test_the_lock_is_one_and_the_same(world):
    modules, _ = world
    made = modules.Queue()
    with made.not_empty:
        assert not made.mutex.acquire(False)
    assert made.mutex is made.mutex
    assert made.mutex.acquire(False)


def test_methods_that_a_subclass_overrides_are_kept(world):
    """As watchdog's queue, which leaves out what equals the item before."""
    modules, _ = world

    class Sparse(modules.Queue):
        last = None

        def put(self, item, block=True, timeout=None):
            with self.mutex:
                fresh = item != self.last
            if fresh:
                super().put(item, block, timeout)

        def _put(self, item):
            super()._put(item)
            self.last = item

    made = Sparse()
    for item in (1, 1, 2, 2, 1):
        made.put(item)
    assert [made.get() for _ in range(3)] == [1, 2, 1]
    assert made.empty()
    assert isinstance(made, Sparse)
    assert type(made).__name__ == "Sparse"


def test_several_os_threads_ask_for_the_lock_first():
    """Each is given the same one."""
    for _ in range(50):
        made = Queue.Queue()
        barrier = threading.Barrier(4)
        seen = []

        def look(made=made, barrier=barrier, seen=seen):
            barrier.wait()
            seen.append((made.mutex, made.not_empty))

        asking = [threading.Thread(target=look) for _ in range(4)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        assert len(set(seen)) == 1


def test_what_no_queue_has_is_an_attribute_error(world):
    modules, _ = world
    with pytest.raises(AttributeError, match="'Queue' object has no attribute 'nut'"):
        modules.Queue().nut  # noqa: B018


def test_a_queue_with_conditions_is_collected():
    made = Queue.Queue()
    made.put(made.not_full)
    gone = weakref.ref(made)
    del made
    gc.collect()
    assert gone() is None


@pytest.mark.skipif(not hasattr(queue, "ShutDown"), reason="since CPython 3.13")
def test_shutting_down_wakes_those_who_wait_for_conditions(world):
    modules, threads = world
    made = modules.Queue()
    seen = []

    def wait():
        with made.not_empty:
            seen.append(made.not_empty.wait(5))

    (waiting,) = started(threads, wait)
    eventlet.sleep(0.05)
    made.shutdown()
    waiting.join(5)
    assert seen == [True]
    with pytest.raises(modules.ShutDown):
        made.get()
