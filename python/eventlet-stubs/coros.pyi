# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.coros import (
    Event as Event,
    metaphore as metaphore,
)
