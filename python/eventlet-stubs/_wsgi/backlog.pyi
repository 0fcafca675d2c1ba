# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.backlog import (
    CLIENT_LEFT as CLIENT_LEFT,
    GreenSSLSocket as GreenSSLSocket,
    GreenSocket as GreenSocket,
    HubSocket as HubSocket,
    end_listening as end_listening,
)
