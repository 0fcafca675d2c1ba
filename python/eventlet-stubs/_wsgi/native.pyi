# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.native import (
    Exchange as Exchange,
    GreenSocket as GreenSocket,
    HttpProtocol as HttpProtocol,
    STATE_CLOSE as STATE_CLOSE,
    STATE_IDLE as STATE_IDLE,
    STATE_REQUEST as STATE_REQUEST,
    SocketWriter as SocketWriter,
    is_overridden as is_overridden,
    remember as remember,
    serve as serve,
    suits as suits,
)
