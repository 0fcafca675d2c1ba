# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.plan import (
    DRIVERS as DRIVERS,
    EXCHANGES as EXCHANGES,
    Exchange as Exchange,
    GREEN_MODULES as GREEN_MODULES,
    OPTIONS as OPTIONS,
    green_module as green_module,
    is_available as is_available,
)
