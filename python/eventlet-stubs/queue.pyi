# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.queue import (
    Empty as Empty,
    Full as Full,
    ItemWaiter as ItemWaiter,
    LifoQueue as LifoQueue,
    LightQueue as LightQueue,
    PriorityQueue as PriorityQueue,
    Queue as Queue,
    Waiter as Waiter,
)
