"""Promises of `eventlet.pools`: no item is lost, promised twice or made in excess."""

from __future__ import annotations

import itertools

import pytest

import eventlet
from eventlet import pools


def numbered(**kwargs):
    return pools.Pool(create=itertools.count(1).__next__, **kwargs)


def test_pool_makes_items_only_when_none_is_free():
    pool = numbered()
    first = pool.get()
    pool.put(first)
    assert [pool.get(), pool.get()] == [1, 2]
    assert pool.current_size == 2


def test_pool_makes_min_size_items_at_once():
    pool = numbered(min_size=3)
    assert (pool.current_size, list(pool.free_items), pool.free()) == (3, [1, 2, 3], 4)


def test_pool_serves_waiting_callers_in_order_of_arrival():
    pool = numbered(max_size=1)
    pool.put(pool.get())
    item = pool.get()
    order = []

    def taker(name):
        pool.get()
        order.append(name)

    for name in "abc":
        eventlet.spawn(taker, name)
    eventlet.sleep(0)
    assert pool.waiting() == 3
    for _ in range(3):
        pool.put(item)
        eventlet.sleep(0)
    assert order == ["a", "b", "c"]


def test_newcomer_does_not_overtake_a_woken_caller():
    pool = numbered(max_size=1)
    item = pool.get()
    waiting = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    pool.put(item)
    # The item is promised: taking it here would have to wait.
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        pool.get()
    assert waiting.wait() == item


def test_item_promised_to_a_killed_caller_goes_to_the_next():
    pool = numbered(max_size=1)
    item = pool.get()
    first, second = eventlet.spawn(pool.get), eventlet.spawn(pool.get)
    eventlet.sleep(0)
    pool.put(item)
    first.kill()
    with eventlet.Timeout(1):
        assert second.wait() == item


def test_item_promised_to_a_killed_caller_is_free_again():
    pool = numbered(max_size=1)
    item = pool.get()
    waiting = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    pool.put(item)
    waiting.kill()
    assert (pool.free(), pool.waiting()) == (1, 0)
    with eventlet.Timeout(1):
        assert pool.get() == item


def test_failing_create_takes_no_place():
    outcomes = iter([LookupError("first"), 2])

    def create():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    pool = pools.Pool(max_size=1, create=create)
    with pytest.raises(LookupError):
        pool.get()
    assert pool.free() == 1
    assert pool.get() == 2


def test_failing_create_lets_the_next_caller_try():
    started = eventlet.Event()
    outcomes = iter([LookupError("first"), 2])

    def create():
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            started.wait()
            raise outcome
        return outcome

    pool = pools.Pool(max_size=1, create=create)
    failing, waiting = eventlet.spawn(pool.get), eventlet.spawn(pool.get)
    eventlet.sleep(0)
    started.send()
    with pytest.raises(LookupError):
        failing.wait()
    assert waiting.wait() == 2


def test_slow_create_makes_no_more_than_max_size():
    made = []

    def create():
        made.append(None)
        eventlet.sleep(0)
        return len(made)

    pool = pools.Pool(max_size=2, create=create)

    def use():
        with pool.item():
            eventlet.sleep(0)

    for thread in [eventlet.spawn(use) for _ in range(10)]:
        thread.wait()
    assert len(made) == 2


def test_item_returns_on_an_exception():
    pool = numbered(max_size=1)
    with pytest.raises(LookupError), pool.item() as item:
        assert item == 1
        raise LookupError
    assert pool.free() == 1


def test_growing_lets_waiting_callers_go_on():
    pool = numbered(max_size=1)
    pool.get()
    waiting = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    pool.resize(2)
    assert waiting.wait() == 2


def test_shrinking_drops_items_as_they_come_back():
    pool = numbered(max_size=3)
    taken = [pool.get() for _ in range(3)]
    pool.resize(1)
    free = []
    for item in taken:
        pool.put(item)
        free.append(pool.free())
    assert free == [-1, 0, 1]
    assert (pool.current_size, list(pool.free_items)) == (1, [3])


def test_shrunk_pool_with_free_items_gives_out_no_more_than_its_size():
    pool = numbered(max_size=4, min_size=4)
    taken = [pool.get(), pool.get()]
    pool.resize(2)
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        pool.get()
    for item in taken:
        pool.put(item)
    assert [pool.get() for _ in range(2)]
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        pool.get()


def test_subclass_that_throws_an_item_away_makes_room():
    """Lowering `current_size` is how an item is given up; waiters hear of it."""
    pool = numbered(max_size=1)
    pool.get()
    waiting = eventlet.spawn(pool.get)
    eventlet.sleep(0)
    pool.current_size -= 1
    assert waiting.wait() == 2


def test_emptying_a_pool_by_hand_keeps_its_limit():
    pool = numbered(max_size=2, min_size=2)
    while pool.free_items:
        pool.free_items.pop()
        pool.current_size -= 1
    assert [pool.get(), pool.get()] == [3, 4]
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        pool.get()


def test_pool_without_create_says_what_to_do():
    pool = pools.Pool()
    with pytest.raises(NotImplementedError, match="create"):
        pool.get()
    assert pool.free() == 4


def test_token_pool_hands_out_tokens():
    pool = pools.TokenPool(max_size=1)
    with pool.item() as token:
        assert isinstance(token, pools.Token)
        assert pool.free() == 0
