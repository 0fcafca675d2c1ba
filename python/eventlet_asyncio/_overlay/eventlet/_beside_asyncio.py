"""
See to it that asyncio and eventlet know each other once both are loaded.

``asyncio.create_task()`` in green code falls back to the hub's loop,
also before the hub is first used: the hub's module arranges that.
It is imported as soon as asyncio is there, and not before:
a program that imports eventlet and no asyncio pays nothing.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


def install() -> None:
    """Import the hub's module now or right after asyncio, if that hub is chosen."""
    chosen = os.environ.get("EVENTLET_HUB", "").partition(":")[0]
    if chosen not in ("", "asyncio"):
        return
    if "asyncio" in sys.modules:
        _meet()
    else:
        sys.meta_path.insert(0, _Finder())


def _meet() -> None:
    import_module("eventlet.hubs.asyncio")


class _Finder:
    """Finds asyncio once, as others do, and acts when it has been loaded."""

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Wrap the loader of asyncio; nothing else is found here."""
        del path, target
        if name != "asyncio":
            return None
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        from importlib.util import find_spec

        spec = find_spec(name)
        if spec is not None and spec.loader is not None:
            loader = spec.loader

            def exec_module(module: ModuleType) -> None:
                del loader.exec_module
                loader.exec_module(module)
                _meet()

            loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec
