# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._loops import (
    install as install,
    when_imported as when_imported,
)
