"""A lock held by a `with` statement around monkey_patch is free after it."""

# ruff: noqa: E402 (classes are props; when what is imported is the subject)

import threading

lock = threading.RLock()

import eventlet

with lock:
    with lock:
        eventlet.monkey_patch()
    waiting = eventlet.spawn(lock.acquire)
    refused = eventlet.spawn(lock.acquire, blocking=False)
    assert not refused.wait()
# The statement has released the lock it had in hand; the new one follows.
assert waiting.wait()
assert isinstance(lock, threading._PyRLock)
print("pass")
