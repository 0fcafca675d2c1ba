"""Small helpers for what differs between Python versions and exceptions."""

from __future__ import annotations

import sys
from typing import Any

from eventlet.support import greenlets

__all__ = [
    "PY33",
    "bytes_to_str",
    "get_errno",
    "greendns",
    "greenlets",
    "wrap_deprecated",
]

PY33 = sys.version_info[:2] == (3, 3)


def __getattr__(name: str) -> Any:
    """Import `greendns` when somebody asks for it: it is large."""
    if name == "greendns":
        from importlib import import_module

        return import_module("eventlet.support.greendns")
    msg = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(msg)


def get_errno(exc: BaseException) -> Any:
    """
    Return the error number of an exception, or None if it has none.

    Looks at ``errno``, and failing that at the first argument, where modules
    with exceptions of their own tend to put it.
    """
    number = getattr(exc, "errno", None)
    if number is not None:
        return number
    try:
        return exc.args[0]
    except (AttributeError, IndexError):
        return None


def bytes_to_str(b: Any, encoding: str = "ascii") -> Any:
    """Decode bytes; return anything else as it is."""
    return b.decode(encoding) if isinstance(b, bytes) else b


def wrap_deprecated(old: str, new: str) -> Any:
    """
    Make a decorator that warns when a function is called by its old name.

    Args:
        old: The name that goes away.
        new: What to use in its place.
    """
    import functools
    import warnings

    def decorate(function: Any) -> Any:
        @functools.wraps(function)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            warnings.warn(
                f"{old} is deprecated and will be removed, use {new} instead",
                DeprecationWarning,
                stacklevel=2,
            )
            return function(*args, **kwargs)

        return wrapper

    return decorate
