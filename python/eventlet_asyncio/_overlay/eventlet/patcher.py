"""
Make code cooperative that was not written for green threads.

`monkey_patch` changes the standard library for the whole process;
`import_patched` and `inject` give one module green versions of what it imports;
`original` gives the modules that patching never touches.
See `eventlet._patch` for how.

The functions `_green_*` tell what a keyword of `monkey_patch` patches, each module with its
green twin, whose `__patched__` has the names. They are private upstream, too. But
oslo.privsep undoes the patching with them in a forked child.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from eventlet._patch.apply import already_patched, is_monkey_patched, monkey_patch
from eventlet._patch.inject import (
    SysModulesSaver,
    import_patched,
    inject,
    patch_function,
    slurp_properties,
)
from eventlet._patch.originals import original
from eventlet._patch.plan import EXCHANGES, is_available

if TYPE_CHECKING:
    from types import ModuleType

__all__ = [
    "SysModulesSaver",
    "already_patched",
    "import_patched",
    "inject",
    "is_monkey_patched",
    "monkey_patch",
    "original",
    "patch_function",
    "slurp_properties",
]


def _green(option: str) -> list[tuple[str, ModuleType]]:
    """Pair the modules that an option patches with their green twins."""
    pairs = [(each.module, each.green) for each in EXCHANGES[option]]
    if option == "thread":
        pairs.append(("threading", "eventlet.green.threading"))
    return [(name, importlib.import_module(green)) for name, green in pairs]


def _green_os_modules() -> list[tuple[str, ModuleType]]:
    return _green("os")


def _green_select_modules() -> list[tuple[str, ModuleType]]:
    return _green("select")


def _green_socket_modules() -> list[tuple[str, ModuleType]]:
    return _green("socket")


def _green_subprocess_modules() -> list[tuple[str, ModuleType]]:
    return _green("subprocess")


def _green_thread_modules() -> list[tuple[str, ModuleType]]:
    return _green("thread")


def _green_time_modules() -> list[tuple[str, ModuleType]]:
    return _green("time")


def _green_builtins() -> list[tuple[str, ModuleType]]:
    return _green("builtins")


def _green_MySQLdb() -> list[tuple[str, ModuleType]]:
    if not is_available("MySQLdb"):
        return []
    return [("MySQLdb", importlib.import_module("eventlet.green.MySQLdb"))]
