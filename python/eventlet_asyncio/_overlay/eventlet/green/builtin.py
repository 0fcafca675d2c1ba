"""Builtins with an `open` that tells the hub about the new descriptor."""

from __future__ import annotations

import builtins as _builtins
from typing import Any

from eventlet import hubs
from eventlet._patch.copies import borrow as _borrow

__all__ = [name for name in dir(_builtins) if not name.startswith("_")]
__patched__ = ["open"]

_open = _builtins.open


def open(*args: Any, **kwargs: Any) -> Any:
    """
    Open a file as the builtin does.

    The number of its descriptor may have belonged to a socket before; the hub forgets
    that one.
    """
    file = _open(*args, **kwargs)
    hubs.notify_opened(file.fileno())
    return file


_borrow(globals(), "builtins", skip=("__build_class__", "__debug__", "__import__"))
