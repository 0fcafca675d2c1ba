"""OS threads: each has its hub, and wakes the others' green threads."""

from __future__ import annotations

import errno
import os
import socket
import threading
import time

import pytest

import eventlet
import greenlet
from eventlet import greenthread, hubs
from eventlet.event import Event
from eventlet.hubs import trampoline
from eventlet.lock import Lock
from eventlet.queue import LightQueue, Queue
from eventlet.semaphore import BoundedSemaphore, CappedSemaphore, Semaphore


def run_thread(function, *args):
    """Run a function in an OS thread; return it, and where its outcome will be."""
    outcome = []

    def body():
        try:
            outcome.append(function(*args))
        except BaseException as error:
            outcome.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    return thread, outcome


def join(thread):
    with eventlet.Timeout(20):
        while thread.is_alive():
            eventlet.sleep(0.001)
    thread.join()


def test_each_thread_has_its_hub():
    """Hubs of different OS threads are different, and work at the same time."""

    def count():
        log = []
        greens = [eventlet.spawn(log.append, number) for number in range(3)]
        for green in greens:
            green.wait()
        eventlet.sleep(0.001)
        return hubs.get_hub(), log

    threads = [run_thread(count) for _ in range(4)]
    for thread, _ in threads:
        join(thread)
    found = [outcome[0] for _, outcome in threads]
    assert [log for _, log in found] == [[0, 1, 2]] * 4
    assert len({id(hub) for hub, _ in found} | {id(hubs.get_hub())}) == 5


@pytest.mark.parametrize("error", [None, KeyError("sent")])
def test_event_sent_by_another_thread_wakes_at_once(error):
    """The waiter goes on in its own OS thread although its hub sleeps."""
    event = Event()
    home = threading.get_ident()

    def send():
        time.sleep(0.02)
        event.send("value", exc=error)
        return threading.get_ident()

    start = time.monotonic()
    thread, outcome = run_thread(send)
    if error is None:
        assert event.wait() == "value"
    else:
        with pytest.raises(KeyError, match="sent"):
            event.wait()
    assert threading.get_ident() == home
    assert time.monotonic() - start < 5
    thread.join()
    assert outcome[0] != home


def test_outcome_of_another_threads_green_thread_can_be_waited_for():
    """Waiting, linking and killing across OS threads happens at home."""
    ready = threading.Event()
    made = []

    def body():
        def work():
            try:
                eventlet.sleep(10)
            except KeyError:
                return threading.get_ident()

        made.append(eventlet.spawn(work))
        eventlet.sleep(0)
        ready.set()
        return made[0].wait()

    thread, outcome = run_thread(body)
    ready.wait()
    waiter = eventlet.spawn(made[0].wait)
    eventlet.sleep(0)
    greenthread.kill(made[0], KeyError)
    with eventlet.Timeout(20):
        assert waiter.wait() == thread.ident
    join(thread)
    assert outcome == [thread.ident]


def test_switching_into_another_threads_greenlet_is_refused():
    """It would run one OS thread's stack in another."""
    ready, over = threading.Event(), threading.Event()
    made = []

    def body():
        made.append(eventlet.spawn(eventlet.sleep, 10))
        eventlet.sleep(0)
        ready.set()
        over.wait()

    thread, _ = run_thread(body)
    ready.wait()
    for call in (made[0].switch, made[0].throw):
        with pytest.raises(greenlet.error, match="different thread"):
            call()
    over.set()
    join(thread)
    with pytest.raises(greenlet.error, match="exited"):
        made[0].switch()
    made.clear()


def test_last_reference_dropped_in_another_thread_ends_it_at_home():
    """GreenletExit is raised by the OS thread that the stack belongs to."""
    log = []
    ready, dropped = threading.Event(), threading.Event()
    made = []

    def body():
        def work():
            try:
                greenlet.getcurrent().parent.switch()
            finally:
                log.append(threading.get_ident())

        raw = greenlet.greenlet(work)
        raw.switch()
        made.append(raw)
        del raw
        ready.set()
        dropped.wait()
        # The next use of greenlets ends it.
        greenlet.getcurrent()

    thread, outcome = run_thread(body)
    ready.wait()
    made.clear()
    assert log == []
    dropped.set()
    join(thread)
    assert outcome == [None]
    assert log == [thread.ident]


def test_many_threads_wake_one_green_thread():
    """No wake-up is lost when several OS threads post at the same time."""
    hub = hubs.get_hub()
    total, senders = 200, 4
    seen = []

    def send(name):
        for number in range(total):
            hub.schedule_call_global(0, seen.append, (name, number))

    threads = [run_thread(send, name)[0] for name in range(senders)]
    with eventlet.Timeout(30):
        while len(seen) < total * senders:
            eventlet.sleep(0.001)
    for thread in threads:
        thread.join()
    for name in range(senders):
        own = [number for who, number in seen if who == name]
        assert own == list(range(total))


WAKERS = {
    "Event.send": (Event, lambda it: it.wait(), lambda it: it.send("sent"), "sent"),
    "Semaphore.release": (
        lambda: Semaphore(0),
        lambda it: it.acquire(),
        lambda it: it.release(),
        True,
    ),
    "Semaphore.acquire with a timeout": (
        lambda: Semaphore(0),
        lambda it: it.acquire(timeout=20),
        lambda it: it.release(),
        True,
    ),
    "BoundedSemaphore.release": (
        lambda: taken(BoundedSemaphore(1)),
        lambda it: it.acquire(),
        lambda it: it.release(),
        True,
    ),
    "CappedSemaphore.acquire": (
        lambda: CappedSemaphore(1, 1),
        lambda it: it.release(blocking=True) and None,
        lambda it: it.acquire(),
        None,
    ),
    "Queue.put": (Queue, lambda it: it.get(), lambda it: it.put("put"), "put"),
    "Queue.get": (
        lambda: filled(Queue(1)),
        lambda it: it.put("more"),
        lambda it: it.get(),
        None,
    ),
    "Queue.put with a timeout": (
        Queue,
        lambda it: it.get(timeout=20),
        lambda it: it.put("put"),
        "put",
    ),
    "Queue.task_done": (
        lambda: filled(Queue(1)),
        lambda it: it.join(),
        lambda it: it.task_done(),
        None,
    ),
    "LightQueue.put": (
        LightQueue,
        lambda it: it.get(),
        lambda it: it.put("put"),
        "put",
    ),
    "LightQueue(0).get": (
        lambda: LightQueue(0),
        lambda it: it.put("handed over"),
        lambda it: it.get(),
        None,
    ),
    "Lock.release": (
        lambda: taken(Lock()),
        lambda it: it.acquire(),
        lambda it: it.release(),
        True,
    ),
}


def taken(lock):
    lock.acquire()
    return lock


def filled(queue):
    queue.put("first")
    return queue


@pytest.mark.parametrize("driver", ["asyncio", "poll"])
@pytest.mark.parametrize("name", WAKERS)
def test_every_primitive_wakes_across_threads(name, driver):
    """The waiter goes on in its own OS thread, whatever it waits by and for."""
    make, wait, wake, expected = WAKERS[name]
    it = make()
    waits = threading.Event()

    def body():
        hubs._install(hubs._resolve(driver))
        green = eventlet.spawn(lambda: (wait(it), threading.get_ident()))
        # It runs behind the one that waits.
        eventlet.spawn_n(waits.set)
        return green.wait()

    thread, outcome = run_thread(body)
    assert waits.wait(20)
    wake(it)
    join(thread)
    assert outcome == [(expected, thread.ident)]


@pytest.mark.parametrize("driver", ["asyncio", "poll"])
def test_close_wakes_the_waiters_of_all_threads(driver):
    """Whoever waits for a descriptor, in whichever OS thread, learns that it is closed."""
    # Three pairs: the end of a peer is not what is waited for here.
    (left, right), (heard, third) = socket.socketpair(), socket.socketpair()
    other, peer = socket.socketpair()
    number, listened = left.fileno(), heard.fileno()
    waits, gone = threading.Semaphore(0), threading.Event()

    def read():
        try:
            trampoline(number, read=True)
        except OSError as error:
            return error.errno

    def body():
        hubs._install(hubs._resolve(driver))
        green = eventlet.spawn(read)
        listener = []
        hubs.get_hub().add(hubs.hub.READ, listened, print, listener.append)
        eventlet.spawn_n(waits.release)
        closed = green.wait()
        # Waiters are woken before the file is closed.
        assert gone.wait(20)
        # The number names another file, which may be waited for at once.
        hubs.notify_opened(os.dup2(other.fileno(), number))
        eventlet.spawn_n(waits.release)
        trampoline(number, read=True)
        os.close(number)
        return closed, [type(error) for error in listener]

    own = eventlet.spawn(read)
    thread, outcome = run_thread(body)
    assert waits.acquire(timeout=20)
    eventlet.sleep(0)
    hubs.notify_close(listened)
    heard.close()
    hubs.notify_close(number)
    left.close()
    gone.set()
    assert own.wait() == errno.EBADF
    assert waits.acquire(timeout=20)
    peer.send(b"x")
    join(thread)
    assert outcome == [(errno.EBADF, [hubs.IOClosed])]
    for sock in (right, third, other, peer):
        sock.close()


def test_timer_of_another_threads_hub_can_be_cancelled():
    """What an OS thread has asked another's hub to do, it may take back."""
    ready, over = threading.Event(), Event()
    made = []

    def body():
        made.append(hubs.get_hub())
        eventlet.spawn_n(ready.set)
        return over.wait()

    thread, outcome = run_thread(body)
    assert ready.wait(20)
    (hub,) = made
    cancelled = hub.schedule_call_global(0.001, over.send, "cancelled")
    cancelled.cancel()
    hub.schedule_call_global(0.002, over.send, "called")
    join(thread)
    assert outcome == ["called"]
