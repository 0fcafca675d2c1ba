"""
fork() leaves both processes with a hub that works: from main, from a green thread, and
while another OS thread runs a hub or a green thread of its own.
"""

# loops: uvloop

import os
import socket
import threading
import time

import eventlet
from eventlet import hubs
from eventlet.hubs import trampoline


def in_child(check):
    """Run the check in a forked child and return how that ended."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            check()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def works():
    """All that a hub does."""
    seen = []
    late = eventlet.spawn_after(0.01, seen.append, "late")
    soon = eventlet.spawn(seen.append, "soon")
    soon.wait()
    late.wait()
    assert seen == ["soon", "late"]
    left, right = socket.socketpair()
    reader = eventlet.spawn(trampoline, left, read=True)
    eventlet.sleep(0)
    right.send(b"x")
    reader.wait()
    left.close()
    right.close()


def pending_everywhere():
    """Let what was pending at the fork happen in both processes, each on its poller."""
    left, right = socket.socketpair()
    seen = []

    def read():
        trampoline(left, read=True)
        seen.append("read")

    reader = eventlet.spawn(read)
    timer = eventlet.spawn_after(0.05, seen.append, "timer")
    eventlet.sleep(0)

    def go_on():
        timer.wait()
        assert seen == ["timer"], seen
        right.send(b"x")
        reader.wait()
        assert seen == ["timer", "read"], seen
        # Taken, so that the parent finds nothing to read before its own time.
        assert left.recv(1) == b"x"

    assert in_child(go_on) == 0
    go_on()


def replace_hub():
    """As gunicorn and oslo.service do in a worker."""
    hubs.use_hub()
    works()


def from_green_thread():
    return eventlet.spawn(in_child, works).wait()


def replaces_while_main_sleeps():
    """Main, which sleeps in the parent, does not go on in a child that has another hub."""

    def check():
        hubs.use_hub()
        works()
        eventlet.sleep(0.05)

    here = os.getpid()
    green = eventlet.spawn(in_child, check)
    eventlet.sleep(0.01)
    if os.getpid() != here:
        os._exit(9)
    return green.wait()


def with_other_threads():
    """Another OS thread has a hub that sleeps, another is in the middle of a green thread."""
    ready = threading.Semaphore(0)
    over = threading.Event()

    def sleeper():
        eventlet.spawn_after(0.01, ready.release)
        while not over.is_set():
            eventlet.sleep(0.02)

    def blocker():
        def block():
            ready.release()
            over.wait()

        # Nobody but its OS thread knows this green thread.
        eventlet.spawn_n(block)
        eventlet.sleep(0)

    threads = [threading.Thread(target=sleeper), threading.Thread(target=blocker)]
    for thread in threads:
        thread.start()
    for _ in threads:
        ready.acquire()
    statuses = [in_child(works), from_green_thread(), in_child(replace_hub)]
    over.set()
    for thread in threads:
        thread.join()
    return statuses


def grandchild():
    works()
    assert in_child(works) == 0
    works()


assert in_child(works) == 0
assert from_green_thread() == 0
works()
pending_everywhere()
assert in_child(replace_hub) == 0
assert replaces_while_main_sleeps() == 0
assert in_child(grandchild) == 0
assert with_other_threads() == [0, 0, 0]
assert from_green_thread() == 0
works()
start = time.monotonic()
assert in_child(lambda: eventlet.sleep(0.05)) == 0
assert time.monotonic() - start < 5
print("pass")
