# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.pools import (
    Pool as Pool,
    Semaphore as Semaphore,
    Token as Token,
    TokenPool as TokenPool,
)
