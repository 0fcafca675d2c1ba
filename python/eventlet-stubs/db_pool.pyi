# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.db_pool import (
    BaseConnectionPool as BaseConnectionPool,
    ConnectTimeout as ConnectTimeout,
    ConnectionPool as ConnectionPool,
    DatabaseConnector as DatabaseConnector,
    GenericConnectionWrapper as GenericConnectionWrapper,
    GreenThread as GreenThread,
    Pool as Pool,
    PooledConnectionWrapper as PooledConnectionWrapper,
    RawConnectionPool as RawConnectionPool,
    Timer as Timer,
    TpooledConnectionPool as TpooledConnectionPool,
    cleanup_rollback as cleanup_rollback,
    contextmanager as contextmanager,
    deque as deque,
)
