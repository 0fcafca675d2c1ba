# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.originals import (
    GREEN_MODULES as GREEN_MODULES,
    PREFIX as PREFIX,
    fresh_module as fresh_module,
    original as original,
    real_get_ident as real_get_ident,
    resolve_original as resolve_original,
    run_copy as run_copy,
)
