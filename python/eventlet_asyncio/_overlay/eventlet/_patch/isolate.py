"""
Keep asyncio, concurrent.futures and grpcio on original modules.

The hub runs on asyncio: were asyncio's own sockets, selectors and threads green, they
would wait on the hub that waits on them. `concurrent.futures` promises OS threads, and
threads of grpcio's wait in C.

Modules loaded already get their module globals exchanged. Modules still to be loaded
are executed with imports of their own (`eventlet._patch.copies`), found by a meta path
finder, so the order of imports makes no difference. asyncio keeps the standard `ssl`:
`monkey_patch` leaves its classes in place, and asyncio must recognise the contexts that
others made.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from eventlet._patch.copies import bound_builtins
from eventlet._patch.originals import original

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_ALL = (
    *("_thread", "os", "queue", "select", "selectors", "socket", "subprocess"),
    *("threading", "time"),
)
# What is exchanged. In a process that patches nothing, only what the loop waits by:
# the rest is original anyway, and tests that replace parts of it count on that.
_names = {"select", "selectors"}


def _for_asyncio(name: str) -> ModuleType | None:
    return original(name) if name in _names else None


def _for_futures(name: str) -> ModuleType | None:
    if name == "threading" and name in _names:
        from eventlet._patch import hybrid

        return hybrid.threading
    return _for_asyncio(name)


_RESOLVERS: tuple[tuple[str, Callable[[str], Any]], ...] = (
    ("asyncio", _for_asyncio),
    ("concurrent.futures", _for_futures),
    ("grpc", _for_futures),
)
# Written in C, so what it imports is exchanged when it is loaded.
_COMPILED = "grpc._cython.cygrpc"


def _resolver(module_name: str) -> Callable[[str], Any] | None:
    for name, resolve in _RESOLVERS:
        if module_name == name or module_name.startswith(name + "."):
            return resolve
    return None


class _Loader:
    """Runs a module under its own imports, and is gone from it afterwards."""

    def __init__(self, loader: Any, before: Any, after: Any) -> None:
        self._loader = loader
        self._before = before
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loader, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        module.__loader__ = self._loader
        if module.__spec__ is not None:
            module.__spec__.loader = self._loader
        if self._before is not None:
            self._before(module)
        self._loader.exec_module(module)
        if self._after is not None:
            self._after(module)


class _Finder:
    """
    Finds the modules that need care when they are loaded.

    Stands first in `sys.meta_path`, finds nothing by itself and passes over every name
    it has no interest in.
    """

    def __init__(self) -> None:
        self.after: dict[str, Callable[[ModuleType], None]] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        resolve = _resolver(fullname)
        after = self.after.get(fullname)
        if resolve is None and after is None:
            return None
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            if finder is self or find is None:
                continue
            spec = find(fullname, path, target)
            if spec is not None:
                break
        else:
            return None
        if spec.loader is not None and hasattr(spec.loader, "exec_module"):
            before = None
            if resolve is not None:

                def before(module: ModuleType) -> None:
                    vars(module)["__builtins__"] = bound_builtins(resolve)

            spec.loader = _Loader(spec.loader, before, after)
        return spec


_finder = _Finder()


def when_imported(name: str, action: Callable[[ModuleType], None]) -> None:
    """
    Run `action` on the module `name` now if it is loaded, else right after it is.
    """
    module = sys.modules.get(name)
    if module is not None:
        action(module)
        return
    _finder.after[name] = action
    _install()


def _install() -> None:
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)


def protect(*, patching: bool = False) -> None:
    """
    See to it that asyncio and concurrent.futures use original modules from now on.

    May be called any number of times, before and after patching.

    Args:
        patching: Whether the standard modules change now.
    """
    if patching and "threading" not in _names:
        _names.update(_ALL)
        when_imported(_COMPILED, _exchange)
        when_imported("grpc._channel", _make_calls_green)
    _install()
    for module_name, module in list(sys.modules.items()):
        if module is not None and _resolver(module_name) is not None:
            _exchange(module)


def _exchange(module: ModuleType) -> None:
    """Exchange what a module that is loaded has imported."""
    resolve: Any = _resolver(module.__name__)
    replaced = {id(sys.modules[n]): n for n in _names if n in sys.modules}
    namespace = vars(module)
    for attribute, value in list(namespace.items()):
        name = replaced.get(id(value))
        if name is not None:
            namespace[attribute] = resolve(name)


def _make_calls_green(module: ModuleType) -> None:
    from eventlet._patch.grpc_calls import install

    install(module)
