# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.connection import (
    HttpProtocol as HttpProtocol,
    MINIMUM_CHUNK_SIZE as MINIMUM_CHUNK_SIZE,
    STATE_CLOSE as STATE_CLOSE,
    STATE_IDLE as STATE_IDLE,
    STATE_REQUEST as STATE_REQUEST,
)
