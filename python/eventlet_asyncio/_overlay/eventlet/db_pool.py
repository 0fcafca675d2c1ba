"""
Pools of DB-API 2 connections.

A pooled item is ``(last used, created, connection)``, so that idle and aged
connections can be told without touching them. One timer at a time closes what
has been idle, or has lived, for too long; nothing else runs in the background.
"""

from __future__ import annotations

import time
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from eventlet._db_connection import GenericConnectionWrapper, PooledConnectionWrapper
from eventlet.greenthread import GreenThread, spawn_after
from eventlet.hubs.timer import Timer
from eventlet.pools import Pool
from eventlet.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = [
    "BaseConnectionPool",
    "ConnectTimeout",
    "ConnectionPool",
    "DatabaseConnector",
    "GenericConnectionWrapper",
    "GreenThread",
    "Pool",
    "PooledConnectionWrapper",
    "RawConnectionPool",
    "Timer",
    "TpooledConnectionPool",
    "contextmanager",
    "deque",
]

_MISSING: Any = object()


class ConnectTimeout(Exception):
    """A connection could not be made in time."""


def cleanup_rollback(conn: Any) -> None:
    """Roll back what the last user of a connection left uncommitted."""
    conn.rollback()


class BaseConnectionPool(Pool):
    """
    A pool of connections, of whatever kind ``connect`` of a subclass makes.

    Args:
        db_module: A DB-API 2 module; its ``connect`` is called.
        min_size: How many connections to make at once.
        max_size: How many connections may be open at the same time.
        max_idle: Close a connection that nobody took for so many seconds. With
            0 each is closed when it comes back.
        max_age: Close a connection so many seconds after it was made, or when
            it next comes back. With 0 each is closed when it comes back.
        connect_timeout: Give up connecting after so many seconds.
        cleanup: Called with a connection that comes back, or None for nothing.
            If it raises the connection is closed.
        *args: Arguments for ``connect``.
        **kwargs: Keyword arguments for ``connect``.
    """

    def __init__(
        self,
        db_module: Any,
        min_size: int = 0,
        max_size: int = 4,
        max_idle: float = 10,
        max_age: float = 30,
        connect_timeout: float | None = 5,
        cleanup: Callable[[Any], Any] | None = cleanup_rollback,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if not db_module:
            msg = "a connection pool needs a DB-API module as its first argument"
            raise AssertionError(msg)
        self._db_module = db_module
        self._args = args
        self._kwargs = kwargs
        self.max_idle = max_idle
        self.max_age = max_age
        self.connect_timeout = connect_timeout
        self._expiration_timer: Any = None
        self.cleanup = cleanup
        super().__init__(min_size=min_size, max_size=max_size, order_as_stack=True)
        self._schedule_expiration()

    @classmethod
    def connect(
        cls, db_module: Any, connect_timeout: float | None, *args: Any, **kw: Any
    ) -> Any:
        """
        Make a connection; subclasses say how.

        Raises:
            NotImplementedError: Unless a subclass does.
        """
        msg = (
            f"{cls.__name__}: define the class method connect(), or use ConnectionPool"
        )
        raise NotImplementedError(msg)

    def create(self) -> tuple[float, float, Any]:
        """Make a connection, as an item of the pool. Switch point."""
        conn = self.connect(
            self._db_module, self.connect_timeout, *self._args, **self._kwargs
        )
        now = time.monotonic()
        return now, now, conn

    def get(self) -> Any:
        """
        Take a connection out of the pool, making one if need be.

        Switch point if there is no free connection.

        Returns:
            The connection, wrapped: its ``close()`` puts it back.

        Raises:
            ConnectTimeout: If a new one could not be made in time.
        """
        while True:
            last_used, created, conn = super().get()
            now = time.monotonic()
            # Not `_is_expired`: with a limit of 0 a new one is good for one use.
            if now - last_used <= max(self.max_idle, 0.1) and now - created <= max(
                self.max_age, 0.1
            ):
                break
            # The timer is late: do not hand out what the server may have closed.
            self._safe_close(conn, quiet=True)
            self.current_size -= 1
        wrapped = PooledConnectionWrapper(conn, self)
        wrapped._db_pool_created_at = created
        return wrapped

    def put(self, conn: Any, cleanup: Any = _MISSING) -> None:
        """
        Return a connection to the pool.

        Cleaning up and closing are switch points if the connection's calls are.

        Args:
            conn: What `get` gave. None, or a connection closed in some other
                way, only gives the place in the pool back.
            cleanup: Use this in place of the pool's, None for nothing.
        """
        created = getattr(conn, "_db_pool_created_at", 0.0)
        base = self._unwrap_connection(conn)
        if isinstance(conn, PooledConnectionWrapper):
            if base is None:
                # Put back before, by its own close() for example.
                return
            # From here on its old user can do nothing with it.
            conn._destroy()
        try:
            if base is not None:
                base = self._cleaned(
                    base, self.cleanup if cleanup is _MISSING else cleanup
                )
            now = time.monotonic()
            if base is not None and self._is_expired(now, created):
                self._safe_close(base, quiet=True)
                base = None
        except BaseException:
            # Killed or interrupted: the connection is in an unknown state.
            self.current_size -= 1
            raise
        if base is None:
            self.current_size -= 1
            return
        if self.current_size > self.max_size:
            # The pool was made smaller: the item would be dropped unclosed.
            self._safe_close(base, quiet=True)
            self.current_size -= 1
            return
        super().put((now, created, base))
        self._schedule_expiration()

    @contextmanager
    def item(self, cleanup: Any = _MISSING) -> Iterator[Any]:
        """
        Take a connection for the length of a ``with`` block.

        Args:
            cleanup: As for `put`.
        """
        conn = self.get()
        try:
            yield conn
        finally:
            self.put(conn, cleanup=cleanup)

    def clear(self) -> None:
        """
        Close all connections that are free.

        Those taken out are not touched; they come back, and may be used again.
        """
        self._cancel_expiration()
        while self.free_items:
            self._close_free(self.free_items.popleft())

    def _close_free(self, item: tuple[float, float, Any]) -> None:
        # Not through `current_size`: one fewer free and one more to be made is
        # as much for callers to take as before.
        self._current_size -= 1
        self._safe_close(item[2], quiet=True)

    def _cleaned(self, conn: Any, cleanup: Callable[[Any], Any] | None) -> Any:
        """Return the connection ready for the next user, or None if it is not fit."""
        if cleanup is None:
            return conn
        try:
            cleanup(conn)
        except Exception:
            self._safe_close(conn, quiet=True)
            return None
        return conn

    def _is_expired(
        self, now: float, created: float, last_used: float | None = None
    ) -> bool:
        """Tell whether a connection has been idle, or has lived, for too long."""
        if self.max_idle <= 0 or self.max_age <= 0:
            return True
        if last_used is not None and now - last_used > self.max_idle:
            return True
        return now - created > self.max_age

    def _schedule_expiration(self) -> None:
        """Set the timer for the free connection that will expire first."""
        if self._expiration_timer is not None or not self.free_items:
            return
        due = min(
            min(last_used + self.max_idle, created + self.max_age)
            for last_used, created, _ in self.free_items
        )
        # Weakly: a pool that is dropped must not wait for its timer.
        self._expiration_timer = spawn_after(
            max(0.0, due - time.monotonic()), _expire, weakref.ref(self)
        )

    def _cancel_expiration(self) -> None:
        timer, self._expiration_timer = self._expiration_timer, None
        if timer is not None:
            timer.cancel()

    def _close_expired(self) -> None:
        self._expiration_timer = None
        now = time.monotonic()
        expired = [
            item
            for item in self.free_items
            # Due means due: the timer may be early by a rounding error.
            if self._is_expired(now + 0.001, item[1], item[0])
        ]
        for item in expired:
            # Closing may switch, and others take what they find.
            if item in self.free_items:
                self.free_items.remove(item)
                self._close_free(item)
        self._schedule_expiration()

    @staticmethod
    def _unwrap_connection(conn: Any) -> Any:
        return getattr(conn, "_base", None)

    @staticmethod
    def _safe_close(conn: Any, quiet: bool = False) -> None:
        """Close a connection that may be broken, or none at all."""
        try:
            conn.close()
        except AttributeError:
            pass
        except Exception:
            if not quiet:
                import traceback

                traceback.print_exc()


def _expire(pool_ref: weakref.ref[BaseConnectionPool]) -> None:
    pool = pool_ref()
    if pool is not None:
        pool._close_expired()


class TpooledConnectionPool(BaseConnectionPool):
    """
    A pool of connections whose calls run in the OS threads of `tpool`.

    For database modules that know nothing of green threads and block.
    """

    @classmethod
    def connect(
        cls, db_module: Any, connect_timeout: float | None, *args: Any, **kw: Any
    ) -> Any:
        """
        Make a connection in an OS thread. Switch point.

        Raises:
            ConnectTimeout: If it takes longer than ``connect_timeout``. Should
                the connection be made later nevertheless, it is closed then.
        """
        from eventlet import tpool

        attempt = _Attempt(db_module.connect, args, kw)
        timeout = Timeout(connect_timeout, ConnectTimeout())
        try:
            conn = tpool.execute(attempt)
        except BaseException:
            attempt.abandon()
            raise
        finally:
            timeout.cancel()
        return tpool.Proxy(conn, autowrap_names=("cursor",))


class _Attempt:
    """Connecting in an OS thread, for somebody who may not wait to the end."""

    def __init__(
        self, connect: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> None:
        self._connect = connect
        self._args = args
        self._kwargs = kwargs
        # One token: either the worker takes it, to deliver, or the caller, to
        # leave. `pop` is atomic, which a flag tested and set would not be.
        self._deliver = [True]

    def __call__(self) -> Any:
        conn = self._connect(*self._args, **self._kwargs)
        self._conn = conn
        if not self._take():
            conn.close()
        return conn

    def abandon(self) -> None:
        """Have the connection closed, now or when it is made."""
        if not self._take():
            conn = getattr(self, "_conn", None)
            if conn is not None:
                from eventlet.greenthread import spawn

                # In a green thread: the caller is being killed or timed out.
                spawn(_close_in_thread, conn)

    def _take(self) -> bool:
        try:
            return self._deliver.pop()
        except IndexError:
            return False


def _close_in_thread(conn: Any) -> None:
    from eventlet import tpool

    tpool.execute(BaseConnectionPool._safe_close, conn, quiet=True)


class RawConnectionPool(BaseConnectionPool):
    """
    A pool of connections as the database module makes them.

    For modules that are cooperative by themselves or by monkey patching.
    """

    @classmethod
    def connect(
        cls, db_module: Any, connect_timeout: float | None, *args: Any, **kw: Any
    ) -> Any:
        """
        Make a connection.

        Raises:
            ConnectTimeout: If it takes longer than ``connect_timeout``.
        """
        timeout = Timeout(connect_timeout, ConnectTimeout())
        try:
            return db_module.connect(*args, **kw)
        finally:
            timeout.cancel()


ConnectionPool = TpooledConnectionPool


class DatabaseConnector:
    """
    A pool of pools: one for each host and database asked for.

    Args:
        module: A DB-API 2 module.
        credentials: Maps host names to keyword arguments for ``connect``. The
            entry ``"default"`` is for hosts that have none.
        conn_pool: The class of the pools, by default `ConnectionPool`.
        *args: Further arguments for each pool.
        **kwargs: Keyword arguments for each pool.
    """

    def __init__(
        self,
        module: Any,
        credentials: Mapping[str, Mapping[str, Any]],
        conn_pool: Any = None,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        self._module = module
        self._credentials = credentials
        self._conn_pool_class = ConnectionPool if conn_pool is None else conn_pool
        self._args = args
        self._kwargs = kwargs
        self._databases: dict[tuple[str, str], Any] = {}

    def credentials_for(self, host: str) -> Mapping[str, Any] | None:
        """Return the arguments for a host: its own, the default, or None."""
        if host in self._credentials:
            return self._credentials[host]
        return self._credentials.get("default")

    def get(self, host: str, dbname: str) -> Any:
        """Return the pool of connections to a database, making it if need be."""
        key = (host, dbname)
        if key not in self._databases:
            arguments = {**self._kwargs, "db": dbname, "host": host}
            arguments.update(self.credentials_for(host) or {})
            self._databases[key] = self._conn_pool_class(
                self._module, *self._args, **arguments
            )
        return self._databases[key]
