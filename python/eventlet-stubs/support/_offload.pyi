# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.support._offload import (
    await_child as await_child,
    read_now as read_now,
)
