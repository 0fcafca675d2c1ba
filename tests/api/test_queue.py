"""Promises of `eventlet.queue` that concern waiting and being served."""

from __future__ import annotations

import gc
import queue as stdlib
import weakref
from collections import deque

import pytest

import eventlet
from eventlet import hubs
from eventlet.queue import Empty, Full, LightQueue, Queue

BOTH = pytest.mark.parametrize("kind", [LightQueue, Queue])
# No limit, room, and a channel.
SIZES = pytest.mark.parametrize("size", [None, 1, 0])


def getters(queue, names, got):
    """Have green threads get, one for each name; they record (name, item)."""

    def get(name):
        got.append((name, queue.get()))

    green = {name: eventlet.spawn(get, name) for name in names}
    eventlet.sleep(0)
    assert queue.getting() == len(names)
    return green


def putters(queue, items, done):
    """Have green threads put, one for each item, which they record when it is put."""

    def put(item):
        queue.put(item)
        done.append(item)

    green = {item: eventlet.spawn(put, item) for item in items}
    eventlet.sleep(0)
    assert queue.putting() == len(items)
    return green


@BOTH
@pytest.mark.parametrize("size", [None, -1, 3])
def test_queue_gives_items_in_the_order_they_were_put(kind, size):
    queue = kind(size)
    for item in (1, 2, 3):
        queue.put(item)
    assert (queue.qsize(), queue.empty()) == (3, False)
    assert queue.full() is (size == 3)
    assert [queue.get() for _ in range(3)] == [1, 2, 3]
    assert queue.empty()


@BOTH
def test_queue_without_room_or_items_says_so_in_the_stdlibs_words(kind):
    queue = kind(1)
    with pytest.raises(stdlib.Empty):
        queue.get_nowait()
    queue.put_nowait(1)
    for put in (queue.put_nowait, lambda x: queue.put(x, block=False)):
        with pytest.raises(stdlib.Full):
            put(2)
    assert queue.get(block=False) == 1


@BOTH
def test_queue_gives_up_when_the_time_is_over(kind):
    queue = kind(1)
    with pytest.raises(Empty):
        queue.get(timeout=0.01)
    queue.put(1)
    with pytest.raises(Full):
        queue.put(2, timeout=0.01)
    assert (queue.getting(), queue.putting()) == (0, 0)
    assert queue.get() == 1
    assert queue.empty()


@SIZES
def test_queue_serves_getters_in_order_of_arrival(size):
    queue, got = Queue(size), []
    getters(queue, "abc", got)
    for item in (1, 2, 3):
        queue.put(item)
    eventlet.sleep(0)
    assert got == [("a", 1), ("b", 2), ("c", 3)]


@pytest.mark.parametrize("size", [1, 0])
def test_queue_serves_putters_in_order_of_arrival(size):
    queue, done = Queue(size), []
    if size:
        queue.put(0)
    putters(queue, [1, 2, 3], done)
    got = [queue.get() for _ in range(3 + size)]
    eventlet.sleep(0)
    assert got == [0, 1, 2, 3][1 - size :]
    assert done == [1, 2, 3]


def test_queue_newcomer_never_takes_the_item_of_who_waits():
    queue, got = Queue(), []
    getters(queue, "a", got)
    queue.put(1)
    with pytest.raises(Empty):
        queue.get_nowait()
    eventlet.sleep(0)
    assert got == [("a", 1)]


def test_queue_newcomer_never_takes_the_room_of_who_waits():
    queue, done = Queue(1), []
    queue.put(0)
    putters(queue, [1], done)
    queue.get()
    with pytest.raises(Full):
        queue.put_nowait(2)
    eventlet.sleep(0)
    assert (done, queue.get()) == ([1], 1)


def test_channel_put_returns_when_the_item_was_taken():
    channel, order = Queue(0), []

    def get():
        order.append(channel.get())

    eventlet.spawn(get)
    channel.put("item")
    order.append("put")
    assert order == ["item", "put"]


def test_channel_is_always_full_and_empty():
    channel = LightQueue(0)
    putters(channel, [1], [])
    assert (channel.full(), channel.empty(), channel.qsize()) == (True, True, 0)
    assert channel.get() == 1


def test_channel_put_nowait_needs_somebody_who_waits():
    channel, got = Queue(0), []
    with pytest.raises(Full):
        channel.put_nowait(1)
    getters(channel, "a", got)
    channel.put_nowait(2)
    with pytest.raises(Full):
        channel.put_nowait(3)
    eventlet.sleep(0)
    assert got == [("a", 2)]


@SIZES
def test_queue_item_of_a_killed_getter_goes_to_the_next(size):
    """It was woken for an item and killed before it ran."""
    queue, got = Queue(size), []
    green = getters(queue, "abc", got)
    putting = eventlet.spawn(queue.put, 1)
    hubs.get_hub().schedule_call_global(0, green["a"].kill)
    putting.wait()
    eventlet.sleep(0)
    assert got == [("b", 1)]


@pytest.mark.parametrize("size", [None, 1])
def test_queue_item_of_the_last_killed_getter_stays(size):
    queue, got = Queue(size), []
    green = getters(queue, "a", got)
    queue.put(1)
    green["a"].kill()
    assert got == []
    assert queue.get_nowait() == 1


def test_channel_item_of_the_last_killed_getter_stays_with_its_putter():
    channel, got, done = Queue(0), [], []
    green = getters(channel, "a", got)
    eventlet.spawn(lambda: (channel.put(1), done.append(1)))
    hubs.get_hub().schedule_call_global(0, green["a"].kill)
    eventlet.sleep(0)
    assert (got, done, channel.putting()) == ([], [], 1)
    assert channel.get() == 1
    eventlet.sleep(0)
    assert done == [1]


def test_channel_getter_whose_putter_gave_up_keeps_its_place():
    """It was woken for an item that is gone: it goes on waiting, first in line."""
    channel, got = Queue(0), []
    getters(channel, "ab", got)
    putter = eventlet.spawn(channel.put, 1)
    # Runs behind the putter and before the getter that it wakes.
    hubs.get_hub().schedule_call_global(0, putter.kill)
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert (got, channel.getting()) == ([], 2)
    channel.put(2)
    channel.put(3)
    assert got == [("a", 2), ("b", 3)]


def test_queue_putter_interrupted_has_put_nothing():
    queue, done = Queue(1), []
    queue.put(0)
    green = putters(queue, [1, 2], done)
    green[1].kill()
    assert [queue.get(), queue.get()] == [0, 2]
    assert queue.empty()


def test_queue_room_of_a_killed_putter_goes_to_the_next():
    """It was woken because there was room and killed before it ran."""
    queue, done = Queue(1), []
    queue.put(0)
    green = putters(queue, [1, 2], done)
    queue.get()
    green[1].kill()
    eventlet.sleep(0)
    assert (done, list(queue.queue), queue.putting()) == ([2], [2], 0)


def test_queue_timeout_due_before_the_item_leaves_it_to_others():
    queue = Queue()

    def impatient():
        with eventlet.Timeout(0, False):
            return queue.get()

    green = [eventlet.spawn(impatient) for _ in range(2)]
    eventlet.sleep(0)
    queue.put("kept")
    assert [g.wait() for g in green] == [None, None]
    assert queue.get_nowait() == "kept"


def test_queue_switch_by_hand_gives_no_item():
    queue, got = Queue(), []
    green = getters(queue, "a", got)
    hubs.get_hub().schedule_call_global(0, green["a"].switch)
    eventlet.sleep(0)
    assert (got, queue.getting()) == ([], 1)
    queue.put(1)
    eventlet.sleep(0)
    assert got == [("a", 1)]


@pytest.mark.parametrize(("old", "new"), [(1, 2), (1, None), (0, 1), (0, None)])
def test_queue_resized_lets_putters_in(old, new):
    queue, done = Queue(old), []
    if old:
        queue.put(0)
    putters(queue, [1], done)
    queue.resize(new)
    eventlet.sleep(0)
    assert (done, queue.maxsize) == ([1], new)


def test_queue_resized_below_its_content_keeps_the_content():
    queue = Queue(3)
    for item in (1, 2, 3):
        queue.put(item)
    queue.resize(1)
    assert [queue.get(), queue.get()] == [1, 2]
    with pytest.raises(Full):
        queue.put_nowait(4)


def test_queue_attribute_shares_the_items():
    """Programs look into it, and clear it."""
    queue = Queue()
    queue.put(1)
    assert isinstance(queue.queue, deque)
    queue.put(2)
    assert list(queue.queue) == [1, 2]
    queue.queue.appendleft(0)
    assert [queue.get(), queue.qsize()] == [0, 2]
    queue.queue.clear()
    with pytest.raises(Empty):
        queue.get_nowait()


def test_queue_subclass_chooses_its_storage():
    class Chosen(Queue):
        def _init(self, maxsize):
            self.made_for = maxsize
            self.items = set()

        def _qsize(self):
            return len(self.items)

        def _put(self, item):
            self.items.add(item)

        def _get(self):
            return self.items.pop()

    queue, got = Chosen(2), []
    assert queue.made_for == 2
    queue.put(1)
    queue.put(1)
    assert (queue.qsize(), queue.get(), queue.empty()) == (1, 1, True)
    getters(queue, "ab", got)
    queue.put(5)
    queue.put(6)
    eventlet.sleep(0)
    assert sorted(got) == [("a", 5), ("b", 6)] or sorted(got) == [("a", 6), ("b", 5)]


def test_queue_subclass_that_fails_to_store_fails_the_put():
    """Neither the item nor the task counts, and the queue goes on."""

    class Picky(Queue):
        def _put(self, item):
            if item is None:
                raise TypeError("not that")
            super()._put(item)

    queue = Picky()
    with pytest.raises(TypeError, match="not that"):
        queue.put(None)
    assert queue.unfinished_tasks == 0
    queue.put(1)
    assert queue.get() == 1


def test_queue_subclass_that_overrides_get_and_put_is_asked_by_the_others():
    calls = []

    class Logged(Queue):
        def put(self, item, block=True, timeout=None):
            calls.append(("put", block))
            super().put(item, block, timeout)

        def get(self, block=True, timeout=None):
            calls.append(("get", block))
            return super().get(block, timeout)

    queue = Logged()
    queue.put_nowait(1)
    assert queue.get_nowait() == 1
    assert calls == [("put", False), ("get", False)]


def test_queue_join_waits_until_each_item_is_done():
    queue, order = Queue(), []

    def work():
        for _ in range(2):
            item = queue.get()
            eventlet.sleep(0)
            order.append(item)
            queue.task_done()

    queue.join()
    queue.put(1)
    queue.put(2)
    eventlet.spawn(work)
    queue.join()
    assert (order, queue.unfinished_tasks) == ([1, 2], 0)
    with pytest.raises(ValueError, match="too many times"):
        queue.task_done()


def test_queue_join_interrupted_leaves_the_queue_usable():
    queue = Queue()
    queue.put(1)
    log = []
    with eventlet.Timeout(0, False):
        queue.join()
        log.append("joined early")
    log.append(queue.get())
    queue.task_done()
    queue.join()
    assert (log, queue.unfinished_tasks) == ([1], 0)


def test_light_queue_counts_no_tasks():
    assert not hasattr(LightQueue(), "task_done")
    assert issubclass(Queue, LightQueue)


def test_queue_in_a_cycle_is_collected():
    queue = Queue()
    queue.put([queue])
    queue.itself = queue
    gone = weakref.ref(queue)
    del queue
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("wrong", ["1", 1.5])
def test_queue_refuses_a_size_that_is_no_number(wrong):
    with pytest.raises(TypeError):
        Queue(wrong)


def test_queue_repr_tells_how_full_it_is():
    queue = Queue(5)
    queue.put(1)
    assert "maxsize=5" in repr(queue)
    assert "stored=1" in repr(queue)


# Annotations


@BOTH
def test_queue_class_can_be_subscripted(kind):
    """Annotations name the items' type, as they do with the stdlib's queues."""

    class Own(kind):
        pass

    for queue in (kind, Own):
        assert queue[int].__origin__ is queue
        assert queue[int].__args__ == (int,)
        assert isinstance(queue[int](), queue)
