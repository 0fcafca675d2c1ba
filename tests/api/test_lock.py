"""Promises of `eventlet.lock` and the reentrant lock of `eventlet.green.thread`."""

from __future__ import annotations

import contextlib
import gc
import threading
import weakref

import pytest

import eventlet
from eventlet.green.thread import RLock
from eventlet.lock import Lock
from eventlet.semaphore import Semaphore

both = pytest.mark.parametrize("kind", [Lock, RLock])


def hold(lock):
    """Take the lock in a green thread; return it, and what makes it give the lock back."""
    give = eventlet.Event()

    def holder():
        with lock:
            give.wait()

    thread = eventlet.spawn(holder)
    eventlet.sleep(0)
    return thread, give


@both
def test_lock_is_had_by_one_green_thread_at_a_time(kind):
    lock, inside, log = kind(), [], []

    def critical(name):
        with lock:
            inside.append(name)
            assert inside == [name]
            eventlet.sleep(0)
            inside.pop()
            log.append(name)

    threads = [eventlet.spawn(critical, name) for name in "abc"]
    for thread in threads:
        thread.wait()
    assert log == ["a", "b", "c"]
    assert not lock.locked()


@both
def test_lock_wait_ends_in_time(kind):
    lock = kind()
    thread, give = hold(lock)
    assert not lock.acquire(blocking=False)
    assert not lock.acquire(timeout=0.001)
    with eventlet.Timeout(0.001, False):
        lock.acquire()
    give.send()
    thread.wait()
    assert lock.acquire(timeout=1)
    lock.release()


@both
def test_lock_given_to_a_killed_waiter_goes_to_the_next(kind):
    """It was woken with the lock and killed before it ran."""
    lock, log = kind(), []
    thread, give = hold(lock)

    def take(name):
        with lock:
            log.append(name)

    first, second = (eventlet.spawn(take, name) for name in ("first", "second"))
    eventlet.sleep(0)
    give.send()
    eventlet.spawn(first.kill)
    thread.wait()
    second.wait()
    assert log[-1] == "second"
    assert not lock.locked()


@both
def test_lock_refuses_arguments_that_make_no_sense(kind):
    lock = kind()
    with pytest.raises(ValueError, match="blocking=False"):
        lock.acquire(blocking=False, timeout=1)
    with pytest.raises(ValueError, match="negative"):
        lock.acquire(timeout=-2)
    with pytest.raises(OverflowError, match="TIMEOUT_MAX"):
        lock.acquire(timeout=threading.TIMEOUT_MAX * 2)
    assert not lock.locked()


@both
def test_lock_that_is_free_cannot_be_released(kind):
    with pytest.raises(RuntimeError, match=r"unlocked|un-acquired"):
        kind().release()


@both
def test_lock_says_in_words_whether_it_is_locked(kind):
    lock = kind()
    assert repr(lock).startswith("<unlocked ")
    with lock:
        assert repr(lock).startswith("<locked ")


@both
def test_lock_is_new_in_a_forked_child(kind):
    lock = kind()
    thread, give = hold(lock)
    lock._at_fork_reinit()
    assert lock.acquire(blocking=False)
    lock.release()
    give.send()
    with pytest.raises(RuntimeError):
        thread.wait()


@both
def test_lock_may_be_derived_from(kind):
    class Counting(kind):
        taken = 0

        def acquire(self, *args, **kwargs):
            self.taken += 1
            return super().acquire(*args, **kwargs)

    lock = Counting()
    assert lock.acquire()
    lock.release()
    assert lock.taken == 1


@both
def test_lock_is_collected_with_what_refers_to_it(kind):
    class Owner:
        pass

    owner = Owner()
    owner.lock = type("Derived", (kind,), {})()
    owner.lock.owner = owner
    gone = weakref.ref(owner)
    del owner
    gc.collect()
    assert gone() is None


def test_lock_is_a_semaphore_and_anybody_may_release_it():
    lock = Lock()
    assert isinstance(lock, Semaphore)
    lock.acquire()
    eventlet.spawn(lock.release).wait()
    assert not lock.locked()


def test_lock_released_by_another_os_thread_wakes_at_once():
    lock, parked = Lock(), threading.Event()
    lock.acquire()

    def release():
        assert parked.wait(30)
        lock.release()

    thread = threading.Thread(target=release)
    thread.start()
    eventlet.spawn(parked.set)
    assert lock.acquire(timeout=30)
    thread.join(30)


def test_rlock_is_taken_again_by_its_owner_alone():
    lock = RLock()
    with lock, lock:
        assert lock._recursion_count() == 2
        assert not eventlet.spawn(lock.acquire, blocking=False).wait()
        assert eventlet.spawn(lock._recursion_count).wait() == 0
    assert not lock.locked()


def test_rlock_is_released_by_its_owner_alone():
    lock = RLock()
    with lock:
        with pytest.raises(RuntimeError, match="un-acquired"):
            eventlet.spawn(lock.release).wait()
        assert lock._is_owned()


def test_rlock_belongs_to_one_os_thread_of_several():
    lock, seen = RLock(), []
    with lock:
        thread = threading.Thread(target=lambda: seen.append(lock.acquire(False)))
        thread.start()
        thread.join(30)
    assert seen == [False]


def test_rlock_can_be_given_back_altogether_for_a_while():
    """As conditions do while they wait."""
    lock, log = RLock(), []

    def waits():
        with lock, lock:
            state = lock._release_save()
            log.append("saved")
            eventlet.sleep(0)
            lock._acquire_restore(state)
            log.append(lock._recursion_count())

    thread = eventlet.spawn(waits)
    eventlet.sleep(0)
    with lock:
        log.append("taken meanwhile")
        eventlet.sleep(0)
        log.append("given back")
    thread.wait()
    assert log == ["saved", "taken meanwhile", "given back", 2]
    assert not lock.locked()


def test_rlock_released_by_a_finaliser_is_not_released_twice():
    """Giving the lock back for a while allocates, and that may collect garbage."""
    lock = RLock()

    class Releases:
        def __del__(self):
            # From Python 3.12 on nothing is collected in the middle of a call.
            with contextlib.suppress(RuntimeError):
                lock.release()

    lock.acquire()
    save = lock._release_save
    # A tuple that was used before is used again, without a look for garbage.
    used = [(number, number) for number in range(5000)]
    thresholds = gc.get_threshold()
    gc.collect()
    gc.disable()
    try:
        garbage = Releases()
        garbage.itself = garbage
        del garbage
        made = [[] for _ in range(10)]
        gc.set_threshold(1)
        gc.enable()
        save()
    except RuntimeError:
        pass  # the finaliser was first
    finally:
        gc.set_threshold(*thresholds)
        gc.enable()
    gc.collect()
    assert (len(used), len(made)) == (5000, 10)
    assert lock.acquire(blocking=False)
    assert not eventlet.spawn(lock.acquire, blocking=False).wait()
