# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.semaphore import (
    BoundedSemaphore as BoundedSemaphore,
    CappedSemaphore as CappedSemaphore,
    Semaphore as Semaphore,
)
