# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.registry import (
    ASKING as ASKING,
    Connection as Connection,
    Limits as Limits,
    Registry as Registry,
    STATE_CLOSE as STATE_CLOSE,
    STATE_IDLE as STATE_IDLE,
    greenio as greenio,
    sleep as sleep,
)
