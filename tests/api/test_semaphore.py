"""Promises of `eventlet.semaphore` that concern waiting and being served."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

import eventlet
from eventlet.semaphore import BoundedSemaphore, Semaphore

BOTH = pytest.mark.parametrize("kind", [Semaphore, BoundedSemaphore])


def waiters(semaphore, names, order):
    """Have green threads wait, one for each name, which they record when served."""

    def wait(name):
        semaphore.acquire()
        order.append(name)

    green = {name: eventlet.spawn(wait, name) for name in names}
    eventlet.sleep(0)
    assert semaphore._waiters == list(green.values())
    return green


@BOTH
def test_semaphore_counts_its_units(kind):
    semaphore = kind(2)
    assert [semaphore.acquire(blocking=False) for _ in range(3)] == [True, True, False]
    assert semaphore.locked()
    assert semaphore.release() is True
    assert (semaphore.counter, semaphore.locked(), semaphore.bounded()) == (
        1,
        False,
        False,
    )


def test_semaphore_serves_in_order_of_arrival():
    semaphore, order = Semaphore(0), []
    waiters(semaphore, "abc", order)
    assert semaphore.balance == -3
    for _ in range(4):
        semaphore.release()
    eventlet.sleep(0)
    assert order == ["a", "b", "c"]
    assert semaphore.balance == semaphore.counter == 1


def test_semaphore_newcomer_never_overtakes():
    """A unit given back belongs to who waits, even before that one runs."""
    semaphore, order = Semaphore(1), []
    semaphore.acquire()
    waiters(semaphore, "a", order)
    semaphore.release()
    assert not semaphore.acquire(blocking=False)
    eventlet.sleep(0)
    assert order == ["a"]


def test_semaphore_waiter_interrupted_before_it_is_served_leaves_the_list():
    semaphore, order = Semaphore(0), []
    green = waiters(semaphore, "abc", order)
    green["a"].kill()
    semaphore.release()
    eventlet.sleep(0)
    assert order == ["b"]
    assert semaphore.balance == -1


def test_semaphore_unit_of_a_killed_waiter_goes_to_the_next():
    """Served, but killed before it could run: the unit is not lost."""
    semaphore, order = Semaphore(0), []
    green = waiters(semaphore, "abc", order)
    semaphore.release()
    green["a"].kill()
    eventlet.sleep(0)
    assert order == ["b"]


def test_semaphore_unit_of_the_last_killed_waiter_goes_back():
    semaphore, order = Semaphore(0), []
    green = waiters(semaphore, "a", order)
    semaphore.release()
    green["a"].kill()
    assert order == []
    assert semaphore.counter == 1


def test_semaphore_unit_of_a_waiter_that_times_out_goes_to_the_next():
    """A Timeout that is due before the served waiter runs takes precedence."""
    semaphore, order = Semaphore(0), []

    def impatient():
        with eventlet.Timeout(0, False):
            semaphore.acquire()
            order.append("impatient")

    eventlet.spawn(impatient)
    patient = eventlet.spawn(semaphore.acquire)
    eventlet.spawn(semaphore.release)
    assert patient.wait() is True
    assert order == []


def test_semaphore_acquire_gives_up_when_its_time_is_over():
    semaphore = Semaphore(0)
    assert semaphore.acquire(timeout=0.01) is False
    assert semaphore.balance == 0


def test_semaphore_acquire_in_time_is_not_disturbed_later():
    semaphore = Semaphore(0)
    eventlet.spawn(semaphore.release)
    assert semaphore.acquire(timeout=30) is True


def test_semaphore_acquire_takes_minus_one_for_no_timeout():
    """As threading.Lock does, also without blocking."""
    semaphore = Semaphore(1)
    assert semaphore.acquire(True, -1)
    assert not semaphore.acquire(False, -1)


def test_semaphore_switch_by_hand_does_not_let_anybody_in():
    semaphore, order = Semaphore(0), []
    green = waiters(semaphore, "a", order)
    eventlet.hubs.get_hub().schedule_call_global(0, green["a"].switch)
    eventlet.sleep(0)
    assert (order, semaphore.balance) == ([], -1)
    semaphore.release()
    eventlet.sleep(0)
    assert order == ["a"]


@pytest.mark.parametrize("arguments", [(False, 1), (True, -2), (True, float("nan"))])
def test_semaphore_refuses_timeouts_that_make_no_sense(arguments):
    with pytest.raises(ValueError, match=r"timeout|seconds"):
        Semaphore(1).acquire(*arguments)


@BOTH
def test_semaphore_refuses_counts_that_make_no_sense(kind):
    with pytest.raises(ValueError, match="negative"):
        kind(-1)
    with pytest.raises(TypeError, match="number of units"):
        kind("many")


def test_bounded_semaphore_refuses_a_unit_too_many():
    semaphore = BoundedSemaphore(1)
    with pytest.raises(ValueError, match="too many times"):
        semaphore.release()
    with pytest.raises(ValueError, match="too many times"), semaphore:
        semaphore.release()
    assert semaphore.counter == 1


@BOTH
def test_semaphore_with_statement_gives_its_unit_back(kind):
    semaphore = kind(1)
    with pytest.raises(LookupError), semaphore as entered:
        assert entered is semaphore
        assert semaphore.locked()
        raise LookupError
    assert not semaphore.locked()


def test_semaphore_with_statement_calls_what_a_subclass_overrides():
    calls = []

    class Counted(Semaphore):
        def acquire(self, *args, **kwargs):
            calls.append("acquire")
            return super().acquire(*args, **kwargs)

        def release(self, *args, **kwargs):
            calls.append("release")
            return super().release(*args, **kwargs)

    with Counted():
        pass
    assert calls == ["acquire", "release"]


def test_semaphore_released_by_another_os_thread_wakes_at_once():
    semaphore, parked = Semaphore(0), threading.Event()

    def release():
        assert parked.wait(30)
        semaphore.release()

    thread = threading.Thread(target=release)
    thread.start()
    eventlet.spawn(parked.set)
    assert semaphore.acquire(timeout=30)
    thread.join()


def test_semaphore_is_fair_between_os_threads():
    """Many threads, each with a hub of its own, share one unit and lose none."""
    semaphore, inside, most = Semaphore(1), [0], [0]

    def work():
        for _ in range(50):
            with semaphore:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                eventlet.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert (inside, most, semaphore.counter) == ([0], [1], 1)


def test_semaphore_in_a_cycle_is_collected():
    semaphore = Semaphore()
    semaphore.itself = semaphore
    gone = weakref.ref(semaphore)
    del semaphore
    gc.collect()
    assert gone() is None
