# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.errors import (
    BadRequest as BadRequest,
    ConnectionClosedError as ConnectionClosedError,
    FailedConnectionError as FailedConnectionError,
    ProtocolError as ProtocolError,
)
