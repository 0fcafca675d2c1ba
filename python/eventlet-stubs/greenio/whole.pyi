# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio.whole import (
    MSG_PEEK as MSG_PEEK,
    MSG_WAITALL as MSG_WAITALL,
    Whole as Whole,
    kind_of as kind_of,
    socket_module as socket_module,
)
