# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.lock import (
    Lock as Lock,
    Semaphore as Semaphore,
    _RLock as _RLock,
)
