# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.selectors import (
    DefaultSelector as DefaultSelector,
    SelectSelector as SelectSelector,
)
from selectors import *
from eventlet_asyncio._overlay.eventlet.green.selectors import (
    DefaultSelector as DefaultSelector,
    SelectSelector as SelectSelector,
)
