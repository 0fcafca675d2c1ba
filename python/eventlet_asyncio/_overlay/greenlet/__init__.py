"""The public API of greenlet 3.5, on the native engine."""

from __future__ import annotations

from eventlet_asyncio._activate import claim as _claim

_claim(__name__)

import sys as _sys  # noqa: E402

from eventlet_asyncio._core import (  # noqa: E402
    GreenletExit,
    _greenlet,
    error,
    getcurrent,
    gettrace,
    greenlet,
    settrace,
)

__all__ = [
    "_C_API",
    "GreenletExit",
    "__version__",
    "error",
    "getcurrent",
    "gettrace",
    "greenlet",
    "settrace",
]

_sys.modules[f"{__name__}._greenlet"] = _greenlet

#: The version of greenlet whose API this is.
__version__ = "3.5.6"

#: Greenlet's C API is not offered: no capsule, so extensions that need it say so.
_C_API = None

GREENLET_USE_CONTEXT_VARS = True
GREENLET_USE_GC = True
GREENLET_USE_TRACING = True
