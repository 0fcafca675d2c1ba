# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.debuggers import (
    follow_os_threads as follow_os_threads,
    keep_real as keep_real,
    original as original,
    real_get_ident as real_get_ident,
)
