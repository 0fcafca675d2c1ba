"""
The package `http` on green sockets.

Submodules are loaded when they are asked for, as attributes too.
"""

import http as _standard
import importlib as _importlib

from eventlet.patcher import slurp_properties as _slurp_properties

_SUBMODULES = ("client", "cookiejar", "cookies", "server")

_slurp_properties(_standard, globals(), ignore=_SUBMODULES)


def __getattr__(name: str) -> object:
    if name in _SUBMODULES:
        return _importlib.import_module(f"{__name__}.{name}")
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
