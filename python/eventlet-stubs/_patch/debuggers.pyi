# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.debuggers import (
    keep_real as keep_real,
    original as original,
    real_get_ident as real_get_ident,
)
