"""
What a user of `eventlet.db_pool` holds in place of a connection.

The wrapper is what can be taken away: when a connection goes back to its pool
the wrapper loses it, and whoever still has the wrapper can do no more harm.
"""

from __future__ import annotations

from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import TracebackType

    from eventlet.db_pool import BaseConnectionPool

__all__ = ["GenericConnectionWrapper", "PooledConnectionWrapper"]


def _gone(name: str) -> AttributeError:
    return AttributeError(f"cannot use {name!r}: the connection was closed or put back")


class _Forwarded:
    """
    A name that the wrapped connection answers for.

    On the class it is a function, so that the wrapper has all usual methods.
    On a wrapper it is a method that looks the connection up when called, or, if
    the connection has a plain value under the name, that value.
    """

    def __init__(self, name: str) -> None:
        def forward(self: Any, *args: Any, **kwargs: Any) -> Any:
            if self._base is None:
                raise _gone(name)
            return getattr(self._base, name)(*args, **kwargs)

        forward.__name__ = name
        forward.__qualname__ = f"GenericConnectionWrapper.{name}"
        forward.__doc__ = f"Call ``{name}`` of the connection."
        self._name = name
        self._forward = forward

    def __get__(self, wrapper: Any, owner: Any = None) -> Any:
        if wrapper is None:
            return self._forward
        value = getattr(wrapper._base, self._name, None)
        if value is None or callable(value):
            return MethodType(self._forward, wrapper)
        return value


class GenericConnectionWrapper:
    """
    Stands for a connection: hands on every attribute and call.

    Args:
        baseconn: The connection.
    """

    _base: Any = None

    def __init__(self, baseconn: Any) -> None:
        self._base = baseconn

    def __getattr__(self, name: str) -> Any:
        if self._base is None:
            raise _gone(name)
        return getattr(self._base, name)

    def __setattr__(self, name: str, value: Any) -> None:
        # Settings such as `autocommit` are the connection's.
        if name.startswith("_") or not hasattr(self._base, name):
            object.__setattr__(self, name, value)
        else:
            setattr(self._base, name, value)

    def __enter__(self) -> Any:
        if self._base is None:
            raise _gone("with")
        entered = self._base.__enter__()
        return self if entered is self._base else entered

    def __exit__(
        self,
        exc: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> Any:
        if self._base is None:
            raise _gone("with")
        return self._base.__exit__(exc, value, tb)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {id(self):#x} of {self._base!r}>"


def _add_forwarded_methods() -> None:
    """Name what MySQLdb, psycopg2 and the DB-API offer on a connection."""
    names = """
        affected_rows autocommit begin change_user character_set_name close commit
        cursor dump_debug_info errno error errorhandler get_server_info insert_id
        literal ping query rollback select_db server_capabilities set_character_set
        set_isolation_level set_server_option set_sql_mode show_warnings shutdown
        sqlstate stat store_result string_literal thread_id use_result warning_count
    """
    for name in names.split():
        setattr(GenericConnectionWrapper, name, _Forwarded(name))


_add_forwarded_methods()


class PooledConnectionWrapper(GenericConnectionWrapper):
    """
    A connection out of a pool: ``close()`` puts it back.

    True until then, and useless afterwards.

    Args:
        baseconn: The connection.
        pool: Where it belongs.
    """

    _pool: Any = None
    _db_pool_created_at = 0.0

    def __init__(self, baseconn: Any, pool: BaseConnectionPool) -> None:
        super().__init__(baseconn)
        self._pool = pool

    def __bool__(self) -> bool:
        return self._base is not None

    def close(self) -> None:
        """Put the connection back into its pool. Does nothing the second time."""
        if self._pool is not None and self._base is not None:
            self._pool.put(self)
        self._destroy()

    def _destroy(self) -> None:
        self._base = None
        self._pool = None
