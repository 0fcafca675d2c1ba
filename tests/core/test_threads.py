"""OS threads: each has its hub, and wakes the others' green threads."""

from __future__ import annotations

import threading
import time

import pytest

import eventlet
import greenlet
from eventlet import greenthread, hubs
from eventlet.event import Event


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
