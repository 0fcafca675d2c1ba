# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.locks import (
    PREFIX as PREFIX,
    free_import_locks as free_import_locks,
    original as original,
    real_get_ident as real_get_ident,
    threading as threading,
    upgrade_rlocks as upgrade_rlocks,
)
