# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.legacy import (
    CLOSE as CLOSE,
    pack as pack,
    parse as parse,
)
