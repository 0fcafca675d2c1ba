# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio.py3 import (
    GreenFileIO as GreenFileIO,
    GreenPipe as GreenPipe,
    SOCKET_BLOCKING as SOCKET_BLOCKING,
    _fileobject as _fileobject,
    fresh_module as fresh_module,
    hubs as hubs,
    original as original,
    pay_operation as pay_operation,
    raw_of as raw_of,
)
