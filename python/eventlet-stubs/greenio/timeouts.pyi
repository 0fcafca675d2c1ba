# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio.timeouts import (
    Timeouts as Timeouts,
    check_timeout as check_timeout,
)
