"""
Import single modules green.

The module is imported anew while `sys.modules` shows green modules in place of the
standard ones; then `sys.modules` is put back. What was loaded before of the module's own
parts, and of the packages that it works with (`_dependencies`), is imported anew with it.
Other modules that the import loads stay loaded, as they may hold state that must not
exist twice.
"""

from __future__ import annotations

import _thread
import functools
import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from eventlet._patch.copies import code_of
from eventlet._patch.plan import GREEN_MODULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

PREFIX = "__patched_module_"
_lock = _thread.RLock()
os.register_at_fork(after_in_child=_lock._at_fork_reinit)
_MISSING = object()
# The modules that each green import was given, by the name it is kept under.
_given: dict[str, dict[str, Any]] = {}


class SysModulesSaver:
    """
    Remembers entries of `sys.modules` and puts them back.

    Attributes of parent packages belong to the entries: importing `a.b` sets `b` on `a`.
    """

    def __init__(self, module_names: Iterable[str] = ()) -> None:
        self._saved: dict[str, Any] = {}
        self._attributes: list[tuple[Any, str, Any]] = []
        self.save(*module_names)

    def save(self, *module_names: str) -> None:
        """
        Remember the modules of these names, or that there are none.
        """
        for name in module_names:
            if name in self._saved:
                continue
            self._saved[name] = sys.modules.get(name, _MISSING)
            parent, _, child = name.rpartition(".")
            package = sys.modules.get(parent)
            if package is not None:
                value = vars(package).get(child, _MISSING)
                self._attributes.append((package, child, value))

    def restore(self) -> None:
        """
        Put `sys.modules` and the parent packages back to what was remembered.
        """
        for name, module in self._saved.items():
            if module is _MISSING:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
        for package, child, value in self._attributes:
            if value is not _MISSING:
                setattr(package, child, value)
            else:
                vars(package).pop(child, None)


def inject(
    module_name: str,
    new_globals: dict[str, Any] | None,
    *additional_modules: tuple[str, ModuleType],
) -> ModuleType:
    """
    Import `module_name` anew, green, and copy what it defines into `new_globals`.

    Args:
        module_name: The module to import; `sys.modules` keeps the one it has.
        new_globals: Gets the public names of the module, and `__patched_module__`.
            None if they are not wanted.
        additional_modules: Pairs of a name and the module that the import finds by it.
            Without any, every module that has a green version.

    Returns:
        The green module: the same one if it was imported green before, in the same way.
    """
    with _lock:
        module = _import_green(module_name, additional_modules)
    if new_globals is not None:
        slurp_properties(module, new_globals)
    return module


def import_patched(
    module_name: str,
    *additional_modules: tuple[str, ModuleType],
    **kw_additional_modules: ModuleType,
) -> ModuleType:
    """
    Return the module `module_name`, imported anew so that what it uses is green.

    Args:
        additional_modules: Pairs of a name and the module that the import finds by it.
        kw_additional_modules: The same as keywords. Without any of both, every module
            that has a green version is used.
    """
    pairs = (*additional_modules, *kw_additional_modules.items())
    return inject(module_name, None, *pairs)


def _import_green(
    module_name: str, additional_modules: tuple[tuple[str, ModuleType], ...]
) -> ModuleType:
    alias = PREFIX + module_name
    given = dict(additional_modules)
    if alias in sys.modules and _given.get(alias) == given:
        return sys.modules[alias]
    replacements = given or _all_green()
    saver = SysModulesSaver(replacements)
    renewed = (module_name, *_dependencies(module_name, replacements))
    own = [n for n in sys.modules if _is_within(n, renewed)]
    saver.save(module_name, *own)
    try:
        for name, replacement in replacements.items():
            if replacement is not None:
                package = module_name.startswith(name + ".")
                found = _finding_standard(name, replacement) if package else replacement
                sys.modules[name] = found
        for name in own:
            del sys.modules[name]
        importlib.import_module(module_name)
        module = sys.modules[module_name]
    finally:
        for name in [n for n in sys.modules if _is_within(n, renewed)]:
            if name not in own:
                del sys.modules[name]
        saver.restore()
    sys.modules[alias] = module
    _given[alias] = given
    return module


def _is_within(name: str, packages: Iterable[str]) -> bool:
    """Say whether a module is one of `packages`, or a part of one."""
    return any(
        name == package or name.startswith(package + ".") for package in packages
    )


def _dependencies(module_name: str, replacements: Iterable[str]) -> list[str]:
    """
    Return the packages loaded before by which a module reaches what will be green.

    `requests` does so by `urllib3`. The module's own siblings are left alone, and so are
    packages with compiled modules, which cannot be imported twice.
    """
    wanted = set(replacements)
    home = module_name.partition(".")[0]
    uses: dict[str, set[str]] = {}
    queue = [module_name]
    while queue:
        package = queue.pop()
        members = [n for n in sys.modules if _is_within(n, (package,))]
        loaded = [sys.modules[n] for n in members if sys.modules[n] is not None]
        if package != module_name and any(code_of(m) is None for m in loaded):
            continue
        names = {name for module in loaded for name in _names_used_by(module)}
        uses[package] = {n if n in wanted else n.partition(".")[0] for n in names}
        queue += [
            name
            for name in uses[package] - uses.keys() - wanted - {home, *queue}
            if name in sys.modules and not _is_foundation(name)
        ]
    green: set[str] = set()
    while True:
        more = {p for p in uses.keys() - green if uses[p] & (wanted | green)}
        if not more:
            return sorted(green - {module_name})
        green |= more


def _names_used_by(module: ModuleType) -> set[str]:
    """Return the names of the modules that a module's globals are, or come from."""
    names = set()
    for value in list(vars(module).values()):
        is_module = isinstance(value, type(sys))
        name = getattr(value, "__name__" if is_module else "__module__", None)
        if isinstance(name, str):
            names.add(name)
    return names


def _is_foundation(name: str) -> bool:
    """Say whether a package is Python's or ours, and so never imported anew."""
    ours = ("eventlet", "eventlet_asyncio", "greenlet")
    return name in sys.stdlib_module_names or name.startswith("__") or name in ours


def _finding_standard(name: str, green: ModuleType) -> ModuleType:
    """
    Return a package that shows what `green` does, and finds standard submodules.

    The green package would find its own, which are made of the standard ones.
    """
    shown: Any = type(sys)(name, green.__doc__)
    vars(shown).update(vars(green))
    shown.__name__ = name
    shown.__path__ = importlib.import_module(name).__path__
    return shown


def _all_green() -> dict[str, ModuleType]:
    found = {}
    for name, green in GREEN_MODULES.items():
        try:
            found[name] = importlib.import_module(green)
        except ImportError:  # this interpreter does not have the module
            continue
    return found


def patch_function(
    func: Callable[..., Any], *additional_modules: tuple[str, ModuleType]
) -> Callable[..., Any]:
    """
    Return a function that calls `func` while imports find green modules.

    For code that imports what it needs when it runs. Other threads see the same
    `sys.modules` meanwhile, so `func` should not be a switch point.

    Args:
        additional_modules: Pairs of a name and the module that imports find by it.
            Without any, every module that has a green version.
    """

    @functools.wraps(func)
    def patched(*args: Any, **kwargs: Any) -> Any:
        replacements = dict(additional_modules) or _all_green()
        with _lock:
            saver = SysModulesSaver(replacements)
            sys.modules.update(replacements)
            try:
                return func(*args, **kwargs)
            finally:
                saver.restore()

    return patched


def slurp_properties(
    source: ModuleType,
    destination: dict[str, Any],
    ignore: Iterable[str] = (),
    srckeys: Iterable[str] | None = None,
) -> None:
    """
    Copy the names that the module `source` defines into the globals `destination`.

    Args:
        ignore: Names to leave out.
        srckeys: The names to copy; every name by default, the special ones of a module
            (`__name__` and the like) excepted.
    """
    left_out = set(ignore)
    if srckeys is None:
        srckeys = [
            n for n in vars(source) if not (n.startswith("__") and n.endswith("__"))
        ]
        if hasattr(source, "__all__"):
            srckeys.append("__all__")
    for name in srckeys:
        if name not in left_out:
            destination[name] = getattr(source, name)
