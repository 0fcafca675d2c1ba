# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio.sendfile import (
    RealSocket as RealSocket,
    Sendfile as Sendfile,
    os_module as os_module,
    socket_module as socket_module,
)
