# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._slow import (
    Timer as Timer,
    begin as begin,
    label as label,
    logger as logger,
    report as report,
)
