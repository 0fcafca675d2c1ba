# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.rfc6455 import (
    Event as Event,
    GreenSocket as GreenSocket,
    RFC6455WebSocket as RFC6455WebSocket,
    Timeout as Timeout,
    socket as socket,
)
