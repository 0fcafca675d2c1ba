# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._tasks import (
    VARIABLE as VARIABLE,
    dismiss as dismiss,
    install as install,
)
