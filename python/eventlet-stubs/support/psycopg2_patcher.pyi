# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.support.psycopg2_patcher import (
    eventlet_wait_callback as eventlet_wait_callback,
    make_psycopg_green as make_psycopg_green,
)
