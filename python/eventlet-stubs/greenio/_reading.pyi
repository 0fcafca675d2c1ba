# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio._reading import (
    GreenBufferedReader as GreenBufferedReader,
    GreenFileIO as GreenFileIO,
    LineReader as LineReader,
    RLock as RLock,
)
