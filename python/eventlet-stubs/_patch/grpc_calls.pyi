# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.grpc_calls import (
    can_park as can_park,
    install as install,
)
