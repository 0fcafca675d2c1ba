# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._beside_asyncio import (
    TYPE_CHECKING as TYPE_CHECKING,
    install as install,
)
