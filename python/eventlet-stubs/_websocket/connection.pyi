# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.connection import (
    ACCEPTABLE_CLIENT_ERRORS as ACCEPTABLE_CLIENT_ERRORS,
    IDLE_READ as IDLE_READ,
    LARGE_READ as LARGE_READ,
    Semaphore as Semaphore,
    Timeout as Timeout,
    WebSocket as WebSocket,
    socket as socket,
)
