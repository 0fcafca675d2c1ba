# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.MySQLdb import (
    Connect as Connect,
    Connection as Connection,
    MySQLdbConnections as MySQLdbConnections,
    connect as connect,
    connections as connections,
    make_green as make_green,
    tpool as tpool,
)
from typing import Any
def __getattr__(name: str) -> Any: ...
