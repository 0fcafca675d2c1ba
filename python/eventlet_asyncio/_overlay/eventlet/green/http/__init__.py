"""
The package `http` on green sockets.

Submodules are loaded when they are asked for, as attributes too.
"""

import importlib as _importlib

from eventlet._patch.copies import derive as _derive

_SUBMODULES = ("client", "cookiejar", "cookies", "server")

_own = {name: globals()[name] for name in ("__file__", "__path__")}
_derive(globals(), "http")
globals().update(_own)


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
