# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.support.greenlets import (
    GreenletExit as GreenletExit,
    getcurrent as getcurrent,
    greenlet as greenlet,
)
