"""
A wake-up from another OS thread is not lost if it comes while the waiter's hub is made.

Making the hub runs Python code, so other OS threads run between the look at the
primitive's state and the wait.
"""

# loops: uvloop

from __future__ import annotations

import sys
import threading

import eventlet.hubs
from eventlet.event import Event
from eventlet.queue import LightQueue
from eventlet.semaphore import Semaphore

EVENT = Event()
SEMAPHORE = Semaphore(0)
QUEUE: LightQueue = LightQueue()
MADE = threading.Event()
GIVEN = threading.Event()


class Hub(eventlet.hubs.get_default_hub().Hub):  # type: ignore[misc, name-defined]
    """A hub that lets the other thread give everything before it is made."""

    def __init__(self) -> None:
        MADE.set()
        assert GIVEN.wait(10)
        super().__init__()


CASES = {
    "event": (lambda: EVENT.wait(timeout=5) == 1, lambda: EVENT.send(1)),
    "semaphore": (lambda: SEMAPHORE.acquire(timeout=5), SEMAPHORE.release),
    "queue": (lambda: QUEUE.get(timeout=5) == 1, lambda: QUEUE.put_nowait(1)),
}

eventlet.hubs._chosen = Hub
for name, (wait, give) in CASES.items():
    MADE.clear()
    GIVEN.clear()
    results: list[bool] = []
    waiter = threading.Thread(
        target=lambda wait=wait, results=results: results.append(wait())
    )
    waiter.start()
    # The waiter has looked, and now makes its hub.
    assert MADE.wait(10)
    give()
    GIVEN.set()
    waiter.join(20)
    if results != [True]:
        sys.exit(f"{name}: the wake-up was lost")
print("pass")
