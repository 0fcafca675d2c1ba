# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio import (
    CONNECT_ERR as CONNECT_ERR,
    CONNECT_SUCCESS as CONNECT_SUCCESS,
    GreenFileIO as GreenFileIO,
    GreenPipe as GreenPipe,
    GreenSocket as GreenSocket,
    SOCKET_BLOCKING as SOCKET_BLOCKING,
    SOCKET_CLOSED as SOCKET_CLOSED,
    base as base,
    py3 as py3,
    set_nonblocking as set_nonblocking,
    shutdown_safe as shutdown_safe,
    socket_timeout as socket_timeout,
)
