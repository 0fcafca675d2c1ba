# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._wakeups import (
    Share as Share,
    clear as clear,
    original as original,
    os as os,
    renew as renew,
)
