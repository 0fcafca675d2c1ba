# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs.selects import (
    BAD_SOCK as BAD_SOCK,
    BaseHub as BaseHub,
    Hub as Hub,
    is_available as is_available,
)
