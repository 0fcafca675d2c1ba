"""Promises of the primitives written in Python: Lock, CappedSemaphore, metaphore."""

from __future__ import annotations

import pytest

import eventlet
from eventlet import coros, queue, semaphore
from eventlet.hubs import get_hub
from eventlet.lock import Lock


def test_lock_refuses_to_be_released_twice():
    lock = Lock()
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        lock.release()
    lock.acquire()
    lock.release()
    with pytest.raises(RuntimeError, match="release unlocked lock"):
        lock.release()


def test_lock_is_exclusive():
    lock = Lock()
    inside = []
    most = []

    def worker():
        with lock:
            inside.append(None)
            most.append(len(inside))
            eventlet.sleep(0)
            inside.pop()

    for thread in [eventlet.spawn(worker) for _ in range(5)]:
        thread.wait()
    assert most == [1] * 5
    assert not lock.locked()


def test_lock_is_handed_over_in_order_of_arrival():
    lock = Lock()
    order = []
    lock.acquire()

    def worker(name):
        with lock:
            order.append(name)

    threads = [eventlet.spawn(worker, name) for name in "abc"]
    eventlet.sleep(0)
    lock.release()
    for thread in threads:
        thread.wait()
    assert order == ["a", "b", "c"]


def test_lock_made_anew_after_fork_is_unlocked():
    lock = Lock()
    lock.acquire()
    lock._at_fork_reinit()
    assert lock.acquire(blocking=False)
    assert not lock.acquire(blocking=False)


def test_capped_semaphore_waits_at_both_ends():
    sem = eventlet.CappedSemaphore(1, limit=1)
    log = []

    def releaser():
        log.append("releasing")
        sem.release()
        log.append("released")

    thread = eventlet.spawn(releaser)
    eventlet.sleep(0)
    assert (log, sem.bounded(), sem.locked()) == (["releasing"], True, False)
    sem.acquire()
    thread.wait()
    assert log == ["releasing", "released"]


def test_capped_semaphore_of_nothing_is_a_meeting_point():
    sem = eventlet.CappedSemaphore(0, 0)
    waiting = eventlet.spawn(sem.acquire)
    eventlet.sleep(0)
    with eventlet.Timeout(5):
        sem.release()
    assert waiting.wait() is True
    assert sem.balance == 0


def test_capped_semaphore_does_not_wait_when_told_not_to():
    sem = eventlet.CappedSemaphore(0, limit=1)
    assert sem.acquire(blocking=False) is False
    assert sem.release(blocking=False) is True
    assert sem.release(blocking=False) is False
    assert sem.acquire(blocking=False) is True


def test_capped_semaphore_interrupted_release_gives_nothing():
    sem = eventlet.CappedSemaphore(1, limit=1)
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        sem.release()
    assert sem.balance == 1
    assert sem.acquire(blocking=False) is True
    assert sem.acquire(blocking=False) is False


def test_capped_semaphore_interrupted_acquire_takes_nothing():
    sem = eventlet.CappedSemaphore(0, limit=1)
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        sem.acquire()
    sem.release()
    assert sem.release(blocking=False) is False


@pytest.mark.parametrize(("count", "limit"), [(2, 1), (-1, 1)])
def test_capped_semaphore_refuses_a_count_outside_its_limit(count, limit):
    with pytest.raises(ValueError, match="count"):
        semaphore.CappedSemaphore(count, limit)


def test_metaphore_waits_until_the_counter_is_back_at_zero():
    counter = coros.metaphore()
    counter.wait()
    log = []

    def job(name):
        log.append(name)
        counter.dec()

    counter.inc(2)
    for name in "ab":
        eventlet.spawn(job, name)
    counter.wait()
    assert log == ["a", "b"]


def test_metaphore_can_be_used_again():
    counter = coros.metaphore()
    for _ in range(2):
        counter.inc()
        eventlet.spawn(counter.dec)
        counter.wait()
    assert counter.counter == 0


def test_metaphore_refuses_to_count_below_zero():
    counter = coros.metaphore()
    counter.inc()
    with pytest.raises(AssertionError):
        counter.dec(2)
    with pytest.raises(AssertionError):
        counter.inc(0)


def test_priority_queue_gives_the_smallest_first():
    items = queue.PriorityQueue()
    for number in (3, 1, 2):
        items.put(number)
    assert [items.get() for _ in range(3)] == [1, 2, 3]


def test_lifo_queue_gives_the_latest_first():
    items = queue.LifoQueue()
    for number in range(3):
        items.put(number)
    assert [items.get() for _ in range(3)] == [2, 1, 0]


@pytest.mark.parametrize("kind", [queue.PriorityQueue, queue.LifoQueue])
def test_ordered_queue_respects_its_limit_and_counts_tasks(kind):
    items = kind(1)
    items.put(1)
    with pytest.raises(queue.Full):
        items.put_nowait(2)
    assert (items.qsize(), items.unfinished_tasks) == (1, 1)
    putter = eventlet.spawn(items.put, 2)
    eventlet.sleep(0)
    assert items.get() == 1
    putter.wait()
    assert items.get() == 2
    for _ in range(2):
        items.task_done()
    items.join()
    with pytest.raises(queue.Empty):
        items.get_nowait()


def test_queue_exceptions_are_those_of_the_stdlib():
    import queue as stdlib

    assert (queue.Empty, queue.Full) == (stdlib.Empty, stdlib.Full)


def test_waiter_returns_what_it_is_switched_with():
    waiter = queue.Waiter()
    get_hub().schedule_call_global(0, waiter.switch, 5)
    assert waiter.wait() == 5
    assert not waiter.waiting


def test_waiter_raises_what_is_thrown():
    waiter = queue.Waiter()
    get_hub().schedule_call_global(0, waiter.throw, LookupError("why"))
    with pytest.raises(LookupError, match="why"):
        waiter.wait()


def test_waiter_that_nobody_waits_on_ignores_switches():
    waiter = queue.ItemWaiter("item", False)
    waiter.switch(1)
    waiter.throw(LookupError)
    assert (waiter.item, waiter.block, waiter.waiting) == ("item", False, False)
