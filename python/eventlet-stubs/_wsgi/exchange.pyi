# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.exchange import (
    ALREADY_HANDLED as ALREADY_HANDLED,
    BodyTimeout as BodyTimeout,
    BodyTooLarge as BodyTooLarge,
    Exchange as Exchange,
    HttpProtocol as HttpProtocol,
    Input as Input,
    STATE_CLOSE as STATE_CLOSE,
    Timeout as Timeout,
    WSGI_LOCAL as WSGI_LOCAL,
    encode_header_line as encode_header_line,
    is_closed as is_closed,
    local as local,
    note as note,
    plain as plain,
)
