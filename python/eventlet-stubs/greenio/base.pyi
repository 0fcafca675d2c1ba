# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio.base import (
    CONNECT_ERR as CONNECT_ERR,
    CONNECT_SUCCESS as CONNECT_SUCCESS,
    GreenSocket as GreenSocket,
    SOCKET_BLOCKING as SOCKET_BLOCKING,
    SOCKET_CLOSED as SOCKET_CLOSED,
    _GLOBAL_DEFAULT_TIMEOUT as _GLOBAL_DEFAULT_TIMEOUT,
    pay_operation as pay_operation,
    set_nonblocking as set_nonblocking,
    shutdown_safe as shutdown_safe,
    socket_accept as socket_accept,
    socket_checkerr as socket_checkerr,
    socket_connect as socket_connect,
    socket_timeout as socket_timeout,
)
