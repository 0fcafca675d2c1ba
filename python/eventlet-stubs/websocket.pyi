# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.websocket import (
    ACCEPTABLE_CLIENT_ERRORS as ACCEPTABLE_CLIENT_ERRORS,
    BadRequest as BadRequest,
    ConnectionClosedError as ConnectionClosedError,
    DEFAULT_MAX_FRAME_LENGTH as DEFAULT_MAX_FRAME_LENGTH,
    FailedConnectionError as FailedConnectionError,
    PROTOCOL_GUID as PROTOCOL_GUID,
    ProtocolError as ProtocolError,
    RFC6455WebSocket as RFC6455WebSocket,
    VALID_CLOSE_STATUS as VALID_CLOSE_STATUS,
    WebSocket as WebSocket,
    WebSocketWSGI as WebSocketWSGI,
)
