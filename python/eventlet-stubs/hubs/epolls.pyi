# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs.epolls import (
    Hub as Hub,
    is_available as is_available,
    poll as poll,
)
