# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.steps import (
    Exchange as Exchange,
    FileObjectForHeaders as FileObjectForHeaders,
    GONE as GONE,
    HeaderLineTooLong as HeaderLineTooLong,
    HeadersTooLarge as HeadersTooLarge,
    HttpProtocol as HttpProtocol,
    Input as Input,
    Limits as Limits,
    STATE_CLOSE as STATE_CLOSE,
    STATE_IDLE as STATE_IDLE,
    STATE_REQUEST as STATE_REQUEST,
    Steps as Steps,
    Timeout as Timeout,
    header_sizes as header_sizes,
    is_closed as is_closed,
)
