"""
Import single modules green.

The module is imported anew while `sys.modules` shows green modules in place of the
standard ones; then `sys.modules` is put back. Modules that the import loads besides
stay loaded, as they may hold state that must not exist twice.
"""

from __future__ import annotations

import _thread
import functools
import importlib
import sys
from typing import TYPE_CHECKING, Any

from eventlet._patch.plan import GREEN_MODULES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

PREFIX = "__patched_module_"
_lock = _thread.RLock()
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
    own = [
        n for n in sys.modules if n == module_name or n.startswith(module_name + ".")
    ]
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
        for name in [n for n in sys.modules if n.startswith(module_name + ".")]:
            if name not in own:
                del sys.modules[name]
        saver.restore()
    sys.modules[alias] = module
    _given[alias] = given
    return module


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
