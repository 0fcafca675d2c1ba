# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.session import (
    Close as Close,
    DEFAULT_MAX_FRAME_LENGTH as DEFAULT_MAX_FRAME_LENGTH,
    Reaction as Reaction,
    Session as Session,
    VALID_CLOSE_STATUS as VALID_CLOSE_STATUS,
    WebSocketReader as WebSocketReader,
    websocket_frame as websocket_frame,
)
