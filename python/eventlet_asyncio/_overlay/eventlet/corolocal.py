"""
Attributes that each green thread sees for itself: `threading.local`, greened.

The values belong to the local, in a table by green thread, so that the collector
sees a value that refers back to its local. A green thread is known there by a token
that it holds, and that it is relieved of when it ends: so values die with the green
thread even if one of them refers back to it. Those of the one that used the local last
stay until another one uses it; upstream's tests count on that.

Attribute access never exchanges the ``__dict__`` of the one shared object for
the caller's, as the stdlib's Python version does under a lock: another OS
thread could run between the exchange and the lookup, and with a lock a property
that switches would lock the others out. The shared object simply has no
instance attributes, and the caller's dict is looked into first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import ref

from eventlet.support.greenlets import getcurrent

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["get_ident", "local"]

# Known to the native module, which takes the entry away when a green thread ends.
_ENTRY = "_eventlet_locals"


def get_ident() -> int:
    """Return a number that is the caller's green thread's own while it lives."""
    return id(getcurrent())


class _Token:
    """Stands for a green thread in the tables of locals; dies when that ends."""

    __slots__ = ("__weakref__",)


class _Table(dict[int, "tuple[_TokenRef, dict[str, Any]]"]):
    """The values of one local: by the address of a token, which lives while it is there."""

    __slots__ = ("__weakref__",)


class _TokenRef(ref[_Token]):
    __slots__ = ("ident", "table")

    # The table does not depend on itself, so that it goes with its local at once.
    ident: int
    table: ref[_Table]


def _forget(token: ref[_Token]) -> None:
    assert isinstance(token, _TokenRef)
    table = token.table()
    if table is not None:
        table.pop(token.ident, None)


class _localbase:
    __slots__ = ("_local__arguments", "_local__last", "_local__values")

    _local__arguments: tuple[tuple[Any, ...], dict[str, Any]]
    # Who asked last, and what for: asked once, a green thread asks again soon.
    _local__last: tuple[_TokenRef, dict[str, Any]]
    _local__values: _Table

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if (args or kwargs) and cls.__init__ is object.__init__:
            msg = f"{cls.__name__}() takes no arguments: define __init__ in a subclass"
            raise TypeError(msg)
        self = object.__new__(cls)
        table = _Table()
        object.__setattr__(self, "_local__arguments", (args, kwargs))
        object.__setattr__(self, "_local__values", table)
        # `__init__` is about to be called for this green thread anyway.
        object.__setattr__(self, "_local__last", _enter(table))
        return self


def token_of_current() -> _Token:
    """Return an object that lives until the calling green thread ends."""
    attributes = getcurrent().__dict__
    token: _Token | None = attributes.get(_ENTRY)
    if token is None:
        token = attributes[_ENTRY] = _Token()
    return token


def _enter(table: _Table) -> tuple[_TokenRef, dict[str, Any]]:
    """Give the calling green thread a dict of its own in `table`."""
    token = token_of_current()
    reference = _TokenRef(token, _forget)
    reference.ident = id(token)
    reference.table = ref(table)
    values: dict[str, Any] = {}
    table[id(token)] = entry = (reference, values)
    return entry


def _values(self: local) -> dict[str, Any]:
    """Return the dict of the calling green thread, initialised if it is new."""
    token = getcurrent().__dict__.get(_ENTRY)
    table: _Table = _get(self, "_local__values")
    if token is not None:
        last: tuple[_TokenRef, dict[str, Any]] = _get(self, "_local__last")
        if last[0]() is token:
            return last[1]
        known = table.get(id(token))
        if known is not None:
            _set(self, "_local__last", known)
            return known[1]
    last = _enter(table)
    _set(self, "_local__last", last)
    if type(self).__init__ is not object.__init__:
        args, kwargs = _get(self, "_local__arguments")
        self.__init__(*args, **kwargs)  # type: ignore[misc]
    return last[1]


_get = object.__getattribute__
_set = object.__setattr__


class local(_localbase):
    """
    An object whose attributes differ from green thread to green thread.

    As `threading.local`: in a subclass ``__init__`` is called, with the
    arguments of the constructor, once in each green thread that uses the
    object; attributes named in ``__slots__`` are shared by all.
    """

    __slots__ = ()

    def __getattribute__(self, name: str) -> Any:
        values = _values(self)
        if name in values:
            return values[name]
        if name == "__dict__":
            return values
        return _get(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "__dict__":
            _refuse(self)
        values = _values(self)
        if _is_data_descriptor(type(self), name, "__set__"):
            _set(self, name, value)
        else:
            values[name] = value

    def __delattr__(self, name: str) -> None:
        if name == "__dict__":
            _refuse(self)
        values = _values(self)
        if _is_data_descriptor(type(self), name, "__delete__"):
            object.__delattr__(self, name)
        elif name in values:
            del values[name]
        else:
            msg = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(msg)


def _refuse(self: local) -> None:
    msg = f"{type(self).__name__!r} object attribute '__dict__' is read-only"
    raise AttributeError(msg)


def _is_data_descriptor(cls: type, name: str, method: str) -> bool:
    """Tell whether the class, not the instance, decides about an attribute."""
    for base in cls.__mro__:
        if name in base.__dict__:
            return hasattr(type(base.__dict__[name]), method)
    return False
