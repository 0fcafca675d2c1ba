# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.timeout import (
    Timeout as Timeout,
    is_timeout as is_timeout,
    with_timeout as with_timeout,
    wrap_is_timeout as wrap_is_timeout,
)
