# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.Queue import (
    Empty as Empty,
    Full as Full,
    LifoQueue as LifoQueue,
    PriorityQueue as PriorityQueue,
    Queue as Queue,
    SimpleQueue as SimpleQueue,
    queue as queue,
)
from queue import *
from eventlet_asyncio._overlay.eventlet.green.Queue import (
    Empty as Empty,
    Full as Full,
    LifoQueue as LifoQueue,
    PriorityQueue as PriorityQueue,
    Queue as Queue,
    SimpleQueue as SimpleQueue,
    queue as queue,
)
