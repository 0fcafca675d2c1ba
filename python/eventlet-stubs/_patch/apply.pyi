# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.apply import (
    DRIVERS as DRIVERS,
    EXCHANGES as EXCHANGES,
    Exchange as Exchange,
    OPTIONS as OPTIONS,
    already_patched as already_patched,
    is_available as is_available,
    is_monkey_patched as is_monkey_patched,
    monkey_patch as monkey_patch,
    original as original,
    protect as protect,
    when_imported as when_imported,
)
