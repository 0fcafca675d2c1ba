# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green._queue_locks import (
    give_locks as give_locks,
    original as original,
    threading as threading,
)
