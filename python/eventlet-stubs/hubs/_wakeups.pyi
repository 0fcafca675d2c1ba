# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._wakeups import (
    Share as Share,
    clear as clear,
    in_main_thread as in_main_thread,
    original as original,
    os as os,
    renew as renew,
)
