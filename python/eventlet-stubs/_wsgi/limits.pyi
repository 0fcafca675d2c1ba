# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.limits import (
    BodyTimeout as BodyTimeout,
    DEFAULT as DEFAULT,
    Limits as Limits,
    Pace as Pace,
    Timeout as Timeout,
    header_sizes as header_sizes,
    settings as settings,
)
