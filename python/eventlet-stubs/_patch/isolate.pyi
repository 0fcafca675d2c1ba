# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.isolate import (
    bound_builtins as bound_builtins,
    original as original,
    protect as protect,
    when_imported as when_imported,
)
