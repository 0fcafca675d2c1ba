"""
Change the standard library in place.

The order matters. Originals are made of everything first, while it is original. Green
modules come next, which use them. Only then are attributes exchanged, and last whatever
took hold of the old ones earlier: locks, selectors, the import system.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from eventlet._patch.isolate import protect, when_imported
from eventlet._patch.originals import original
from eventlet._patch.plan import DRIVERS, EXCHANGES, OPTIONS, Exchange, is_available

if TYPE_CHECKING:
    from types import ModuleType

already_patched: dict[str, bool] = {}
"""The keywords of `monkey_patch` that are in effect."""

_BUILT_IN_OPTION = "builtins"

# Every module that an exchange touches, and what the hub needs of them.
_ORIGINALS = (
    "_thread",
    "time",
    "select",
    "os",
    "threading",
    "queue",
    "selectors",
    "socket",
    "subprocess",
)


def monkey_patch(**on: bool | None) -> None:
    """
    Make standard library modules cooperative, for all code of the process.

    To be called as early as possible: what other modules copied out of a module before
    stays as it was. May be called again, to patch more.

    Args:
        on: Which modules: `os`, `select`, `socket` (with `ssl`), `subprocess`, `thread`
            (with `threading` and `queue`), `time`, `psycopg`, `MySQLdb`, `builtins`.
            Without arguments all but `builtins`. If any is given as true, only those
            that are true; if some are given and all are false, all others. `all` sets
            what holds for those that are not named.

    Raises:
        TypeError: If a keyword is none of these.
    """
    chosen = _chosen(on)
    fresh = [name for name in chosen if name not in already_patched]
    if not fresh:
        return
    for name in _ORIGINALS:
        original(name)
    if os.environ.get("EVENTLET_HUB") in (None, "asyncio"):
        # Not when the first hub is made: that may be where green code waits for a lock
        # which the import of asyncio takes, that of logging.
        importlib.import_module("eventlet.hubs.asyncio")
    exchanges = [e for name in fresh for e in EXCHANGES.get(name, ())]
    greens = [(e, importlib.import_module(e.green)) for e in _loadable(exchanges)]
    if "thread" in fresh:
        from eventlet._patch import threads
        from eventlet._patch.debuggers import keep_real

        keep_real()
    already_patched.update(dict.fromkeys(fresh, True))
    for exchange, green in greens:
        _exchange(exchange, green)
    if "thread" in fresh:
        _patch_threads(threads)
    if "os" in fresh:
        from eventlet._patch.processes import patch_connections

        patch_connections()
    if "socket" in fresh:
        _patch_ssl()
    if "subprocess" in fresh:
        _patch_subprocess()
    if "select" in fresh:
        _replace_captured_selectors()
    if "psycopg" in fresh:
        when_imported("psycopg2.extensions", _patch_psycopg)
    if "MySQLdb" in fresh:
        when_imported("MySQLdb", _patch_mysqldb)
    protect(patching=True)


def _chosen(on: dict[str, bool | None]) -> list[str]:
    unknown = on.keys() - {*OPTIONS, "all"}
    if unknown:
        message = (
            f"monkey_patch() got unexpected keyword arguments {sorted(unknown)}; "
            f"it takes {', '.join(sorted(OPTIONS))} and all"
        )
        raise TypeError(message)
    default = on.get("all")
    named = {name: bool(flag) for name, flag in on.items() if name != "all"}
    if default is None:
        default = not any(named.values())
    chosen = [
        name
        for name in OPTIONS
        if named.get(name, bool(default) and name != _BUILT_IN_OPTION)
    ]
    return [n for n in chosen if n not in DRIVERS or is_available(DRIVERS[n])]


def _loadable(exchanges: list[Exchange]) -> list[Exchange]:
    return [e for e in exchanges if e.module != "ssl" or is_available("_ssl")]


def is_monkey_patched(module: ModuleType | str) -> bool:
    """
    Say whether `module`, a module or its name, is patched at present.

    Goes by the name, and by what `monkey_patch` calls it.
    """
    name = module if isinstance(module, str) else getattr(module, "__name__", None)
    if name in already_patched:
        return True
    return any(
        exchange.module == name
        for option in already_patched
        for exchange in EXCHANGES.get(option, ())
    ) or (name == "threading" and "thread" in already_patched)


def _exchange(exchange: Exchange, green: ModuleType) -> None:
    module = importlib.import_module(exchange.module)
    for name in exchange.names:
        if hasattr(module, name) and hasattr(green, name):
            setattr(module, name, getattr(green, name))
    for name in exchange.removed:
        if hasattr(module, name):
            delattr(module, name)


def _patch_threads(threads: ModuleType) -> None:
    import queue
    import threading

    from eventlet._patch import locks
    from eventlet._patch.debuggers import follow_os_threads

    threads.install(vars(threading))
    green = sys.modules.get("eventlet.green.threading")
    if green is not None:
        threads.share(vars(threading), vars(green))
    queue.SimpleQueue = queue._PySimpleQueue  # type: ignore[misc]
    when_imported("multiprocessing.synchronize", _patch_processes)
    when_imported("bdb", follow_os_threads)
    locks.free_import_locks()
    locks.upgrade_rlocks()


def _patch_processes(module: ModuleType) -> None:
    from eventlet._patch import processes

    processes.patch_synchronize(module)


def _patch_ssl() -> None:
    if not is_available("_ssl"):
        return
    import ssl

    from eventlet.green.ssl import GreenSSLSocket

    ssl.SSLContext.sslsocket_class = GreenSSLSocket


def _patch_subprocess() -> None:
    import subprocess

    from eventlet.green import subprocess as green

    green._install(vars(subprocess))


def _replace_captured_selectors() -> None:
    """
    Exchange selector classes that other modules have taken at their import.
    """
    import selectors

    blocking = original("selectors")
    names = {
        name
        for name, value in vars(blocking).items()
        if isinstance(value, type)
        and issubclass(value, blocking._BaseSelectorImpl)
        and value is not blocking._BaseSelectorImpl
        and value is not getattr(blocking, "_PollLikeSelector", None)
    }
    green = selectors.SelectSelector
    for module_name, module in list(sys.modules.items()):
        if module_name.startswith(("eventlet.", "__original_module_")):
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if (
                isinstance(value, type)
                and value is not green
                and value.__module__ == "selectors"
                and value.__name__ in names
            ):
                setattr(module, attribute, green)


def _patch_psycopg(_module: Any) -> None:
    from eventlet.support import psycopg2_patcher

    psycopg2_patcher.make_psycopg_green()


def _patch_mysqldb(module: Any) -> None:
    from eventlet.green import MySQLdb

    if not hasattr(MySQLdb, "make_green"):
        # It is what imports the driver now, and does this itself at its end.
        return
    MySQLdb.make_green(module)
