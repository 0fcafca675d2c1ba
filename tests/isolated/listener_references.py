"""
The reactor counts references to listeners right: while other OS threads use the same
objects, where a descriptor is refused, and where a green thread finds the event.
"""
# env: EVENTLET_HUB=poll

import contextlib
import os
import sys
import threading
import time

import eventlet
from eventlet import hubs

hub = hubs.get_hub()


def listener():
    # It may have been called twice for one event.
    with contextlib.suppress(BlockingIOError):
        os.read(reading, 1)


def refused():
    def callback():
        pass

    before = sys.getrefcount(callback)
    for _ in range(10):
        try:
            hub._listen(100_000, False, callback)
        except OSError:
            continue
        raise AssertionError
    with open(__file__) as file:
        for _ in range(10):
            hub._listen(file.fileno(), False, callback)
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert sys.getrefcount(callback) == before


def found_by_green_threads():
    calls = 0

    def count():
        nonlocal calls
        calls += 1

    r, w = os.pipe()
    os.write(w, b"x")
    registration = hub._listen(r, False, count)
    before = sys.getrefcount(count)
    for _ in range(50):
        eventlet.sleep(0.001)
    hub._unlisten(registration)
    eventlet.sleep(0.01)
    assert calls > 50
    # The reactor has given its own back.
    assert sys.getrefcount(count) == before - 1
    os.close(r)
    os.close(w)


def beside_other_threads():
    def wake():
        while not over:
            for _ in range(3000):
                held = listener
                del held
            os.write(writing, b"x")

    def juggle():
        while not over:
            held = listener
            del held

    registration = hub._listen(reading, False, listener)
    eventlet.sleep(0.01)
    sys.setswitchinterval(1e-5)
    before = sys.getrefcount(listener)
    threads = [threading.Thread(target=each) for each in (wake, juggle)]
    over = False
    for thread in threads:
        thread.start()
    end = time.monotonic() + 2
    while time.monotonic() < end:
        eventlet.sleep(0.5)
    over = True
    for thread in threads:
        thread.join()
    eventlet.sleep(0.05)
    assert sys.getrefcount(listener) == before
    hub._unlisten(registration)


reading, writing = os.pipe()
os.set_blocking(reading, False)
refused()
found_by_green_threads()
beside_other_threads()
print("pass")
