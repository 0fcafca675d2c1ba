# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._cancelled import (
    wait_until_seen as wait_until_seen,
)
