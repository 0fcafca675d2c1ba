"""
Eventlet's public API on the native engine.

Submodules are imported when they are first used: a program pays for what it uses.
"""

from __future__ import annotations

from eventlet_asyncio._activate import claim as _claim

_claim(__name__)

from importlib import import_module as _import_module  # noqa: E402
from typing import Any as _Any  # noqa: E402

from eventlet._beside_asyncio import install as _install  # noqa: E402

#: The version of Eventlet whose API this is.
version_info = (0, 41, 3)
__version__ = "0.41.3"

_SUBMODULES = frozenset({
    "asyncio", "backdoor", "convenience", "corolocal", "coros", "dagpool", "db_pool",
    "debug", "event", "green", "greenio", "greenpool", "greenthread", "hubs", "lock",
    "patcher", "pools", "queue", "semaphore", "support", "timeout", "tpool",
    "websocket", "wsgi",
})  # fmt: skip

# Public name -> (module, name there).
_NAMES = {
    "sleep": ("greenthread", "sleep"),
    "spawn": ("greenthread", "spawn"),
    "spawn_n": ("greenthread", "spawn_n"),
    "spawn_after": ("greenthread", "spawn_after"),
    "kill": ("greenthread", "kill"),
    "getcurrent": ("greenthread", "getcurrent"),
    "call_after_global": ("greenthread", "call_after_global"),
    "exc_after": ("greenthread", "exc_after"),
    "Event": ("event", "Event"),
    "Queue": ("queue", "Queue"),
    "Semaphore": ("semaphore", "Semaphore"),
    "BoundedSemaphore": ("semaphore", "BoundedSemaphore"),
    "CappedSemaphore": ("semaphore", "CappedSemaphore"),
    "Timeout": ("timeout", "Timeout"),
    "TimeoutError": ("timeout", "Timeout"),
    "with_timeout": ("timeout", "with_timeout"),
    "is_timeout": ("timeout", "is_timeout"),
    "wrap_is_timeout": ("timeout", "wrap_is_timeout"),
    "GreenPool": ("greenpool", "GreenPool"),
    "GreenPile": ("greenpool", "GreenPile"),
    "connect": ("convenience", "connect"),
    "listen": ("convenience", "listen"),
    "serve": ("convenience", "serve"),
    "wrap_ssl": ("convenience", "wrap_ssl"),
    "StopServe": ("convenience", "StopServe"),
    "monkey_patch": ("patcher", "monkey_patch"),
    "import_patched": ("patcher", "import_patched"),
    "use_hub": ("hubs", "use_hub"),
}

# Upstream loads these when it is imported, so that `from eventlet import *` has them.
_STARRED = (
    *("convenience", "event", "green", "greenio", "greenpool", "greenthread", "hubs"),
    *("patcher", "queue", "semaphore", "support", "timeout"),
)

__all__ = sorted({*_NAMES, *_STARRED})  # noqa: PLE0605 - a list of the tables' names


class EventletDeprecationWarning(Warning):
    """Something of Eventlet that should not be used any more."""


def __getattr__(name: str) -> _Any:
    """Import a submodule, or the submodule that has a public name."""
    if name in _SUBMODULES:
        return _import_module(f"{__name__}.{name}")
    if name == "greenlet":
        # Not a submodule: programs that know no greenlet import it from here.
        return _import_module(name)
    try:
        module, attribute = _NAMES[name]
    except KeyError:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message) from None
    value = getattr(_import_module(f"{__name__}.{module}"), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, including those not looked up yet."""
    return sorted({*globals(), *_SUBMODULES, *_NAMES})


_install()
