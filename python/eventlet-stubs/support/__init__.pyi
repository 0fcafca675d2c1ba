# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.support import (
    PY33 as PY33,
    bytes_to_str as bytes_to_str,
    get_errno as get_errno,
    greenlets as greenlets,
    wrap_deprecated as wrap_deprecated,
)
