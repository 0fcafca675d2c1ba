# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.messages import (
    Message as Message,
    UTF8Decoder as UTF8Decoder,
)
