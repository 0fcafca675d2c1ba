# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._db_connection import (
    BaseConnectionPool as BaseConnectionPool,
    GenericConnectionWrapper as GenericConnectionWrapper,
    PooledConnectionWrapper as PooledConnectionWrapper,
)
