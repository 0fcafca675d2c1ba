# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.builtin import (
    hubs as hubs,
    open as open,
)
from builtins import *
from eventlet_asyncio._overlay.eventlet.green.builtin import (
    hubs as hubs,
    open as open,
)
