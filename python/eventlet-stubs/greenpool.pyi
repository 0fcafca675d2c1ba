# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenpool import (
    DEBUG as DEBUG,
    Event as Event,
    GreenMap as GreenMap,
    GreenPile as GreenPile,
    GreenPool as GreenPool,
    GreenThread as GreenThread,
    LightQueue as LightQueue,
    Semaphore as Semaphore,
    getcurrent as getcurrent,
)
