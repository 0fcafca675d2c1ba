"""
The package `urllib` on green sockets.

Submodules are loaded when they are asked for, as attributes too.
"""

import importlib as _importlib

_SUBMODULES = ("error", "parse", "request", "response")


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
