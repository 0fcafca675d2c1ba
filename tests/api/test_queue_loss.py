"""Queues of `eventlet.queue` lose no item and give none twice, whoever uses them."""

from __future__ import annotations

import random
import threading

import pytest

import eventlet
from eventlet.queue import Queue


def test_queue_put_by_another_os_thread_wakes_at_once():
    queue, parked = Queue(), threading.Event()

    def put():
        assert parked.wait(30)
        queue.put("from afar")

    thread = threading.Thread(target=put)
    thread.start()
    eventlet.spawn(parked.set)
    assert queue.get(timeout=30) == "from afar"
    thread.join()


# No limit, room, and a channel.
@pytest.mark.parametrize("size", [None, 1, 0])
def test_queue_between_os_threads_loses_and_doubles_nothing(size):
    """Each side waits in its own hub, for room and for items."""
    queue, got = Queue(size), []

    def produce(first):
        for item in range(first, first + 200):
            queue.put(item)

    threads = [
        threading.Thread(target=produce, args=(first,)) for first in (0, 200, 400)
    ]
    for thread in threads:
        thread.start()
    got.extend(queue.get(timeout=30) for _ in range(600))
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(600))
    for first in (0, 200, 400):
        own = [item for item in got if first <= item < first + 200]
        assert own == sorted(own)


@pytest.mark.parametrize("size", [None, 0, 1, 3])
def test_queue_under_random_kills_loses_and_doubles_nothing(size):
    """Every item put is got once, whoever is killed whenever."""
    rnd = random.Random(size or 7)
    queue, put, got = Queue(size), [], []

    def producer(number):
        for item in range(number * 100, number * 100 + 20):
            queue.put(item)
            put.append(item)
            if rnd.random() < 0.3:
                eventlet.sleep(0)

    def consumer():
        while True:
            got.append(queue.get())
            if rnd.random() < 0.3:
                eventlet.sleep(0)

    producers = [eventlet.spawn(producer, number) for number in range(10)]
    consumers = [eventlet.spawn(consumer) for _ in range(10)]
    for _ in range(60):
        eventlet.sleep(0)
        pool = rnd.choice([producers, consumers])
        rnd.choice(pool).kill()
        consumers.append(eventlet.spawn(consumer))
    for green in producers:
        while not green.dead:
            eventlet.sleep(0)
    while queue.qsize() or queue.putting():
        eventlet.sleep(0)
    eventlet.sleep(0)
    for green in consumers:
        green.kill()
    assert len(set(got)) == len(got)
    # A channel's putter may be killed when its item has been taken already.
    assert set(put) <= set(got)
    if size != 0:
        assert set(put) == set(got)
