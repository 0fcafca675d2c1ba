"""Promises of `eventlet.greenpool`."""

from __future__ import annotations

import gc
import itertools
import weakref

import pytest

import eventlet
from eventlet import debug, greenpool
from greenlet import GreenletExit


@pytest.fixture
def quiet():
    """Keep expected failures out of the output."""
    debug.hub_exceptions(False)
    yield
    debug.hub_exceptions(True)


def test_pool_never_runs_more_than_its_size():
    pool = eventlet.GreenPool(3)
    running = [0]
    most = [0]

    def job():
        running[0] += 1
        most[0] = max(most[0], running[0])
        eventlet.sleep(0)
        running[0] -= 1

    for _ in range(20):
        pool.spawn_n(job)
    pool.waitall()
    assert (most[0], running[0], pool.running()) == (3, 0, 0)


def test_pool_starts_jobs_in_order_of_spawning():
    pool = eventlet.GreenPool(2)
    started = []
    for number in range(8):
        pool.spawn(started.append, number)
    pool.waitall()
    assert started == list(range(8))


def test_pool_does_not_switch_while_it_has_room():
    pool = eventlet.GreenPool(2)
    ran = []
    pool.spawn(ran.append, 1)
    pool.spawn_n(ran.append, 2)
    assert ran == []
    pool.waitall()
    assert ran == [1, 2]


def test_pool_passes_keyword_arguments():
    pool = eventlet.GreenPool()
    thread = pool.spawn(lambda a, *, b: (a, b), 1, b=2)
    assert thread.wait() == (1, 2)


def test_spawn_into_its_own_full_pool_runs_in_place():
    pool = eventlet.GreenPool(1)
    order = []

    def inner(name):
        order.append(name)
        return name

    def outer():
        thread = pool.spawn(inner, "a")
        order.append("back")
        pool.spawn_n(inner, "b")
        return thread.wait()

    assert pool.spawn(outer).wait() == "a"
    assert order == ["a", "back", "b"]
    assert pool.free() == 1


def test_spawn_n_in_place_lets_the_death_of_its_caller_pass():
    pool = eventlet.GreenPool(1)
    entered = eventlet.Event()

    def inner():
        entered.send()
        eventlet.Event().wait()

    def outer():
        pool.spawn_n(inner)
        pytest.fail("went on after being killed")

    thread = pool.spawn(outer)
    entered.wait()
    thread.kill()
    with pytest.raises(GreenletExit):
        thread.wait()
    assert pool.free() == 1


def test_killed_before_start_gives_its_place_back():
    pool = eventlet.GreenPool(1)
    thread = pool.spawn(pytest.fail, "ran")
    thread.kill()
    assert (pool.running(), pool.free()) == (0, 1)
    pool.waitall()


def test_spawn_interrupted_while_waiting_takes_no_place():
    pool = eventlet.GreenPool(1)
    release = eventlet.Event()
    pool.spawn(release.wait)
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        pool.spawn(pytest.fail, "ran")
    release.send()
    pool.waitall()
    assert (pool.free(), pool.waiting()) == (1, 0)


def test_failing_job_gives_its_place_back(quiet):
    pool = eventlet.GreenPool(1)
    thread = pool.spawn(lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        thread.wait()
    pool.spawn_n(lambda: 1 / 0)
    pool.waitall()
    assert pool.free() == 1


def test_spawn_n_prints_the_traceback_of_a_failure(capsys):
    pool = eventlet.GreenPool()
    pool.spawn_n(lambda: 1 / 0)
    pool.waitall()
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_spawn_n_prints_nothing_when_exceptions_are_off(quiet, capsys):
    pool = eventlet.GreenPool()
    pool.spawn_n(lambda: 1 / 0)
    pool.waitall()
    assert capsys.readouterr().err == ""


def test_growing_lets_waiting_spawns_start():
    pool = eventlet.GreenPool(0)
    spawned = eventlet.spawn(pool.spawn, lambda: "ran")
    eventlet.sleep(0)
    assert pool.waiting() == 1
    pool.resize(1)
    assert spawned.wait().wait() == "ran"


def test_shrinking_waits_for_running_jobs_to_end():
    pool = eventlet.GreenPool(3)
    releases = [eventlet.Event() for _ in range(3)]
    threads = [pool.spawn(event.wait) for event in releases]
    pool.resize(1)
    assert (pool.running(), pool.free()) == (3, -2)
    free = []
    for event, thread in zip(releases, threads, strict=True):
        event.send()
        thread.wait()
        free.append(pool.free())
    assert free == [-1, 0, 1]
    pool.spawn(eventlet.sleep, 0)
    assert pool.free() == 0


def test_shrunk_and_grown_pool_has_exactly_its_size():
    pool = eventlet.GreenPool(2)
    release = eventlet.Event()
    for _ in range(2):
        pool.spawn(release.wait)
    pool.resize(0)
    pool.resize(4)
    for _ in range(2):
        pool.spawn(release.wait)
    blocked = eventlet.spawn(pool.spawn, release.wait)
    eventlet.sleep(0)
    assert (pool.running(), pool.waiting()) == (4, 1)
    release.send()
    blocked.wait()
    pool.waitall()
    assert pool.free() == 4


def test_waitall_waits_for_jobs_spawned_by_jobs():
    pool = eventlet.GreenPool(4)
    done = []

    def job(depth):
        eventlet.sleep(0)
        if depth:
            pool.spawn_n(job, depth - 1)
        done.append(depth)

    pool.spawn_n(job, 5)
    pool.waitall()
    assert done == [5, 4, 3, 2, 1, 0]


def test_waitall_lets_several_green_threads_wait():
    pool = eventlet.GreenPool()
    release = eventlet.Event()
    pool.spawn_n(release.wait)
    waiters = [eventlet.spawn(pool.waitall) for _ in range(3)]
    eventlet.sleep(0)
    release.send()
    assert [thread.wait() for thread in waiters] == [None] * 3


def test_waitall_in_a_job_of_the_pool_is_refused(quiet):
    pool = eventlet.GreenPool()
    with pytest.raises(AssertionError, match="wait for itself"):
        pool.spawn(pool.waitall).wait()


@pytest.mark.parametrize(
    ("size", "error"), [(-1, ValueError), ("many", TypeError), (None, TypeError)]
)
def test_pool_refuses_a_size_that_makes_no_sense(size, error):
    with pytest.raises(error, match="GreenPool"):
        eventlet.GreenPool(size)


def test_running_green_threads_can_be_found():
    """Applications kill the jobs of a pool through this set."""
    pool = eventlet.GreenPool()
    threads = {pool.spawn(eventlet.Event().wait) for _ in range(3)}
    eventlet.sleep(0)
    assert pool.coroutines_running == threads
    for thread in list(pool.coroutines_running):
        thread.kill()
    assert pool.running() == 0


def test_dropped_pool_is_freed_without_the_collector():
    gc.disable()
    try:
        pool = eventlet.GreenPool()
        pool.spawn_n(int)
        pool.waitall()
        eventlet.sleep(0)
        gone = weakref.ref(pool)
        del pool
        assert gone() is None
    finally:
        gc.enable()


def test_imap_keeps_the_order_of_items():
    pool = eventlet.GreenPool(4)

    def job(number):
        for _ in range(10 - number):
            eventlet.sleep(0)
        return number

    assert list(pool.imap(job, range(10))) == list(range(10))


def test_imap_runs_at_most_size_items_and_takes_no_more_ahead():
    pool = eventlet.GreenPool(5)
    taken = []
    running = []

    def items():
        for number in itertools.count():
            taken.append(number)
            yield number

    def job(number):
        running.append(number)
        eventlet.sleep(0)
        running.remove(number)
        return number

    results = pool.imap(job, items())
    for _ in range(20):
        eventlet.sleep(0)
    # One more may have been taken, to wait for room.
    assert len(taken) <= 6
    assert len(running) <= 5
    assert [next(results) for _ in range(50)] == list(range(50))


def test_imap_goes_on_after_a_failing_item(quiet):
    pool = eventlet.GreenPool(2)
    results = pool.imap(lambda n: 6 // n, [3, 0, 2])
    assert next(results) == 2
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == [3]


def test_imap_raises_what_the_iterable_raises_at_its_place():
    pool = eventlet.GreenPool(4)

    def items():
        yield 1
        msg = "no more"
        raise LookupError(msg)

    results = pool.imap(str, items())
    assert next(results) == "1"
    with pytest.raises(LookupError, match="no more"):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def test_imap_stays_exhausted():
    results = eventlet.GreenPool().imap(str, [1])
    assert list(results) == ["1"]
    for _ in range(3):
        with pytest.raises(StopIteration):
            next(results)


def test_imap_may_be_read_by_several_green_threads():
    results = eventlet.GreenPool(3).imap(int, map(str, range(30)))
    readers = [eventlet.spawn(list, results) for _ in range(3)]
    read = [number for thread in readers for number in thread.wait()]
    assert sorted(read) == list(range(30))


def test_imap_does_not_use_places_of_the_pool_itself():
    """A job of a full pool may use imap on that pool."""
    pool = eventlet.GreenPool(1)
    thread = pool.spawn(lambda: list(pool.imap(str, range(3))))
    assert thread.wait() == ["0", "1", "2"]


def test_starmap_without_function_gives_the_items():
    pool = eventlet.GreenPool()
    assert list(pool.starmap(None, [(1, 2), (3,)])) == [(1, 2), (3,)]


def test_pile_gives_results_in_order_of_spawning():
    pile = eventlet.GreenPile(3)

    def job(number):
        for _ in range(number % 3):
            eventlet.sleep(0)
        return number

    for number in range(9):
        pile.spawn(job, number)
    assert list(pile) == list(range(9))


def test_pile_can_be_filled_again_after_it_was_read():
    pile = eventlet.GreenPile()
    pile.spawn(int, 1)
    assert list(pile) == [1]
    pile.spawn(int, 2)
    assert list(pile) == [2]
    assert list(pile) == []


def test_pile_raises_at_the_place_of_a_failing_job(quiet):
    pile = eventlet.GreenPile()
    pile.spawn(int, "1")
    pile.spawn(int, "x")
    pile.spawn(int, "3")
    assert pile.next() == 1
    with pytest.raises(ValueError, match="'x'"):
        pile.next()
    assert pile.next() == 3


def test_map_waits_for_jobs_until_told_there_are_no_more():
    results = greenpool.GreenMap(2)
    reader = eventlet.spawn(list, results)
    eventlet.sleep(0)
    for number in range(5):
        results.spawn(str, number)
    results.done_spawning()
    assert reader.wait() == ["0", "1", "2", "3", "4"]


def test_map_of_a_shared_pool_respects_it():
    pool = eventlet.GreenPool(1)
    release = eventlet.Event()
    pool.spawn_n(release.wait)
    results = greenpool.GreenMap(pool)
    producer = eventlet.spawn(results.spawn, str, 1)
    eventlet.sleep(0)
    assert pool.waiting() == 1
    release.send()
    producer.wait()
    # As a producer does, it waits for the reader.
    eventlet.spawn(results.done_spawning)
    assert list(results) == ["1"]


def test_map_works_ahead_of_a_slow_reader():
    """Up to `size` results and one more, while the first is waited for."""
    begun = []
    first = eventlet.Event()

    def job(number):
        begun.append(number)
        if number == 0:
            first.wait()
        return number

    results = eventlet.GreenPool(2).imap(job, range(10))
    reader = eventlet.spawn(list, results)
    for _ in range(30):
        eventlet.sleep(0)
    # The reader has the first, the queue two, and one is to go there.
    assert begun == [0, 1, 2, 3]
    first.send()
    assert reader.wait() == list(range(10))
