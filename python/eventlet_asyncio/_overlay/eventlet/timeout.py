"""
Timeouts: an exception raised in the running green thread after a while.

Catch them with care: the one that arrives may not be the one that was set
last, so compare it with your own before you swallow it.
"""

from __future__ import annotations

import builtins
import functools
import inspect
from typing import TYPE_CHECKING, Any

from eventlet_asyncio._core import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Timeout", "is_timeout", "with_timeout", "wrap_is_timeout"]

_MISSING: Any = object()


def with_timeout(
    seconds: float | None, function: Callable[..., Any], *args: Any, **kwds: Any
) -> Any:
    """
    Call a function and interrupt it if it takes longer than ``seconds``.

    A switch point if ``function`` is one; else it cannot be interrupted.

    Args:
        seconds: The time it may take; None for any time.
        function: What to call.
        *args: Its positional arguments.
        **kwds: Its keyword arguments, and ``timeout_value``: what to return
            when the time is over.

    Returns:
        What the function returns, or ``timeout_value``.

    Raises:
        Timeout: If the time is over and no ``timeout_value`` was given.
    """
    value = kwds.pop("timeout_value", _MISSING)
    timeout = Timeout(seconds)
    try:
        return function(*args, **kwds)
    except Timeout as raised:
        if raised is timeout and value is not _MISSING:
            return value
        raise
    finally:
        timeout.cancel()


def is_timeout(obj: object) -> bool:
    """
    Tell whether an exception says that time ran out.

    True for the builtin ``TimeoutError`` and for whatever has a true attribute
    ``is_timeout``, such as :class:`Timeout` and the exceptions of green sockets.
    """
    return bool(getattr(obj, "is_timeout", False)) or isinstance(
        obj, builtins.TimeoutError
    )


def wrap_is_timeout(base: Any) -> Any:
    """
    Make :func:`is_timeout` true for the instances of a class, or for what a function returns.

    Args:
        base: A class, which gets a read-only property ``is_timeout`` and is
            returned; or a callable, for which a wrapper is returned that marks
            what it returns.
    """
    if inspect.isclass(base):
        base.is_timeout = property(_true)  # type: ignore[attr-defined]
        return base

    @functools.wraps(base)
    def marked(*args: Any, **kwargs: Any) -> Any:
        made = base(*args, **kwargs)
        made.is_timeout = True
        return made

    return marked


def _true(_: object) -> bool:
    return True
