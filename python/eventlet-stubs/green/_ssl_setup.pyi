# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green._ssl_setup import (
    BeforeProtocol as BeforeProtocol,
    RealSocket as RealSocket,
    check_wrap as check_wrap,
    context_for as context_for,
    is_connected as is_connected,
    making as making,
    original as original,
)
