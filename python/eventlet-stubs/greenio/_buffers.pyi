# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenio._buffers import (
    BufferedReader as BufferedReader,
    BufferedWriter as BufferedWriter,
    GreenBufferedReader as GreenBufferedReader,
    GreenBufferedWriter as GreenBufferedWriter,
    GreenFileIO as GreenFileIO,
    RLock as RLock,
)
