"""Conditions, queues, events and locks of patched code work between OS threads."""

# ruff: noqa: E402 (patching comes first)

import eventlet

eventlet.monkey_patch()

import queue
import threading

from eventlet import patcher

native = patcher.original("threading")
ITEMS = 2000


def in_native_threads(*functions):
    threads = [native.Thread(target=function, daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    return threads


def join(threads):
    while any(thread.is_alive() for thread in threads):
        eventlet.sleep(0.001)


def condition():
    """A counter goes up and down between two OS threads; each waits for the other."""
    changed = threading.Condition()
    turn = ["native"]
    seen = []

    def take_turns(me, other):
        for number in range(ITEMS):
            with changed:
                assert changed.wait_for(lambda: turn[0] == me, timeout=30)
                seen.append((me, number))
                turn[0] = other
                changed.notify_all()

    threads = in_native_threads(lambda: take_turns("native", "green"))
    eventlet.spawn(take_turns, "green", "native").wait()
    join(threads)
    assert seen == [
        (who, number) for number in range(ITEMS) for who in ("native", "green")
    ]


def queues():
    """Items cross in both directions, through a queue that is often full or empty."""
    there, back = queue.Queue(3), queue.Queue(3)

    def echo():
        while (item := there.get(timeout=30)) is not None:
            back.put(item, timeout=30)

    def feed():
        for number in range(ITEMS):
            there.put(number, timeout=30)

    threads = in_native_threads(echo)
    eventlet.spawn(feed)
    assert [back.get(timeout=30) for _ in range(ITEMS)] == list(range(ITEMS))
    there.put(None)
    join(threads)

    simple, answers = queue.SimpleQueue(), queue.SimpleQueue()

    def double():
        while (item := simple.get(timeout=30)) is not None:
            answers.put(item * 2)

    threads = in_native_threads(double)
    for number in range(ITEMS):
        simple.put(number)
        assert answers.get(timeout=30) == number * 2
    simple.put(None)
    join(threads)


def locks():
    """A lock held across a switch keeps OS threads and green threads out."""
    lock, semaphore = threading.Lock(), threading.Semaphore(2)
    reentrant = threading.RLock()
    inside = [0]
    total = [0]

    def work():
        for _ in range(200):
            with semaphore, reentrant, lock, reentrant:
                inside[0] += 1
                assert inside[0] == 1
                eventlet.sleep(0)
                total[0] += 1
                inside[0] -= 1

    threads = in_native_threads(work, work)
    greens = [eventlet.spawn(work) for _ in range(4)]
    for green in greens:
        green.wait()
    join(threads)
    assert total[0] == 6 * 200


def events_and_barriers():
    """One sets, all go on; a barrier lets a mixed party through."""
    for _ in range(50):
        ready, barrier = threading.Event(), threading.Barrier(4, timeout=30)
        passed = []

        def party(passed=passed, ready=ready, barrier=barrier):
            assert ready.wait(30)
            barrier.wait()
            passed.append(1)

        threads = in_native_threads(party, party)
        greens = [eventlet.spawn(party) for _ in range(2)]
        ready.set()
        for green in greens:
            green.wait()
        join(threads)
        assert len(passed) == 4


with eventlet.Timeout(40):
    condition()
    queues()
    locks()
    events_and_barriers()
print("pass")
