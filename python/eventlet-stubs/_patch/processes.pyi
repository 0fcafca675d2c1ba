# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.processes import (
    acquire as acquire,
    can_park as can_park,
    original as original,
    patch_connections as patch_connections,
    patch_synchronize as patch_synchronize,
)
