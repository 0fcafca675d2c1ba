# Written by tools/stubs.py.
from eventlet_asyncio._overlay.greenlet import (
    GreenletExit as GreenletExit,
    error as error,
    getcurrent as getcurrent,
    gettrace as gettrace,
    greenlet as greenlet,
    settrace as settrace,
)
