# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.hybrid import (
    Condition as Condition,
    Event as Event,
    Lock as Lock,
    RLock as RLock,
    Semaphore as Semaphore,
    Thread as Thread,
    can_park as can_park,
    original as original,
    real_get_ident as real_get_ident,
    thread as thread,
    threading as threading,
)
