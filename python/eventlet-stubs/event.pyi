# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.event import (
    Event as Event,
    NOT_USED as NOT_USED,
)
