# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._libraries import (
    MODULES as MODULES,
    install as install,
    when_imported as when_imported,
)
