# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._ending import (
    Run as Run,
    SECONDS as SECONDS,
    finish as finish,
    install as install,
    when_imported as when_imported,
)
