# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.copies import (
    Resolver as Resolver,
    borrow as borrow,
    bound_builtins as bound_builtins,
    code_of as code_of,
    derive as derive,
    fresh_module as fresh_module,
    run_copy as run_copy,
)
