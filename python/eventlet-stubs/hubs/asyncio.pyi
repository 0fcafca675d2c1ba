# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs.asyncio import (
    BaseHub as BaseHub,
    Hub as Hub,
    LOOP_VARIABLE as LOOP_VARIABLE,
    VISIBLE_VARIABLE as VISIBLE_VARIABLE,
    asyncio as asyncio,
    is_available as is_available,
    protect as protect,
    real_get_ident as real_get_ident,
)
