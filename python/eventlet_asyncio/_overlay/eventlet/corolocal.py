"""
Attributes that each green thread sees for itself: `threading.local`, greened.

The values of a green thread live in its own ``__dict__``, keyed weakly by the
local they belong to. So they die with the green thread even if one of them
refers back to it, and with the local even if the green thread lives on; a table
in the local, keyed by green thread, would keep the first kind for ever.

Attribute access never exchanges the ``__dict__`` of the one shared object for
the caller's, as the stdlib's Python version does under a lock: another OS
thread could run between the exchange and the lookup, and with a lock a property
that switches would lock the others out. The shared object simply has no
instance attributes, and the caller's dict is looked into first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from eventlet.support.greenlets import getcurrent

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["get_ident", "local"]

_ENTRY = "_eventlet_locals"


def get_ident() -> int:
    """Return a number that is the caller's green thread's own while it lives."""
    return id(getcurrent())


class _Key:
    """Stands for a local in the tables of green threads; dies with it."""

    __slots__ = ("__weakref__", "args", "kwargs")

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.args = args
        self.kwargs = kwargs


class _localbase:
    __slots__ = ("_local__key", "_local__last")

    # What tells the table of a green thread which local is meant, and the
    # green thread that asked last with its dict. The second is a cache: it
    # holds one green thread, so that an address reused by a new one can never
    # be taken for the old.
    _local__key: _Key
    _local__last: tuple[Any, dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        if (args or kwargs) and cls.__init__ is object.__init__:
            msg = f"{cls.__name__}() takes no arguments: define __init__ in a subclass"
            raise TypeError(msg)
        self = object.__new__(cls)
        key = _Key(args, kwargs)
        object.__setattr__(self, "_local__key", key)
        # `__init__` is about to be called for this green thread anyway.
        current = getcurrent()
        values: dict[str, Any] = {}
        _table(current)[key] = values
        object.__setattr__(self, "_local__last", (current, values))
        return self


def _table(green: Any) -> WeakKeyDictionary[_Key, dict[str, Any]]:
    attributes = green.__dict__
    try:
        table: WeakKeyDictionary[_Key, dict[str, Any]] = attributes[_ENTRY]
    except KeyError:
        table = attributes[_ENTRY] = WeakKeyDictionary()
    return table


def _values(self: local) -> dict[str, Any]:
    """Return the dict of the calling green thread, initialised if it is new."""
    current = getcurrent()
    last = _get(self, "_local__last")
    if last[0] is current:
        values: dict[str, Any] = last[1]
        return values
    key = _get(self, "_local__key")
    table = _table(current)
    known = table.get(key)
    if known is None:
        values = table[key] = {}
        _set(self, "_local__last", (current, values))
        if type(self).__init__ is not object.__init__:
            self.__init__(*key.args, **key.kwargs)  # type: ignore[misc]
        return values
    _set(self, "_local__last", (current, known))
    return known


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
