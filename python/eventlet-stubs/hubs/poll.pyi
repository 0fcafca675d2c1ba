# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs.poll import (
    BaseHub as BaseHub,
    Hub as Hub,
    is_available as is_available,
)
