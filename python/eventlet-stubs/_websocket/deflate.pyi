# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._websocket.deflate import (
    Deflater as Deflater,
    Inflater as Inflater,
    NAME as NAME,
    format_header as format_header,
    negotiate as negotiate,
    pay_operation as pay_operation,
)
