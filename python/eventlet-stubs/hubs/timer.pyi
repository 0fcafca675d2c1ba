# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs.timer import (
    LocalTimer as LocalTimer,
    Timer as Timer,
    TimerHandle as TimerHandle,
    hubs as hubs,
)
