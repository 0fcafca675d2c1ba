"""
The package `MySQLdb` with calls that do not block other green threads.

Its C library waits by itself, so connecting and every use of a connection is done in an
OS thread of `eventlet.tpool`.
"""

from __future__ import annotations

from typing import Any

import MySQLdb as _mysqldb
import MySQLdb.connections as _connections

from eventlet import tpool
from eventlet.patcher import is_monkey_patched as _is_monkey_patched
from eventlet.patcher import slurp_properties as _slurp_properties

__all__ = list(_mysqldb.__all__)
__patched__ = ["connect", "Connect", "Connection", "connections"]

# What another module may have replaced by the functions below is taken from the class.
_connect = _connections.Connection
_slurp_properties(
    _mysqldb,
    globals(),
    ignore=__patched__,
    srckeys=[n for n in dir(_mysqldb) if n[:2] != "__"],
)


def Connection(*args: Any, **kw: Any) -> Any:
    """
    Return a new connection, used through an OS thread. Switch point.

    Takes what `MySQLdb.connect` takes.
    """
    connection = tpool.execute(_connect, *args, **kw)
    return tpool.Proxy(connection, autowrap_names=("cursor",))


connect = Connect = Connection


class MySQLdbConnections:
    """Stands for `MySQLdb.connections`, with green connections."""

    def __getattr__(self, name: str) -> Any:
        return getattr(_connections, name)

    Connection = staticmethod(Connection)


connections = MySQLdbConnections()


def make_green(module: Any) -> None:
    """
    Exchange what blocks in `module`, the driver itself.
    """
    for name in __patched__:
        setattr(module, name, globals()[name])


if _is_monkey_patched("MySQLdb"):
    # Loaded by this module, the driver was there too early for the patcher.
    make_green(_mysqldb)


def __getattr__(name: str) -> Any:
    # Parts of the package that are loaded when they are needed.
    if name.startswith("__"):
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    return getattr(_mysqldb, name)
