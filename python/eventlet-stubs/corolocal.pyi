# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.corolocal import (
    get_ident as get_ident,
    getcurrent as getcurrent,
    local as local,
    token_of_current as token_of_current,
)
