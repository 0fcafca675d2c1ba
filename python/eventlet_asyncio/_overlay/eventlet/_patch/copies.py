"""
Second copies of standard library modules, bound to other modules than the first.

A module's `import` statements look up `__import__` in the builtins of the namespace they
run in, and a namespace may bring its own builtins. Running a module's code in a fresh
namespace whose `__import__` answers with chosen modules therefore gives a copy that is
bound to them, for good: imports that its functions do later are answered the same way.

The alternative, exchanging entries of `sys.modules` while the module is imported, shows
those entries to every other thread, misses imports done later, and leaves traces in
parent packages.
"""

from __future__ import annotations

import builtins
import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, ModuleType

    Resolver = Callable[[str], "ModuleType | None"]


def bound_builtins(resolve: Resolver) -> dict[str, Any]:
    """
    Return builtins whose `__import__` asks `resolve` first.

    Args:
        resolve: Takes the full name of a module, gives the module to use in its place,
            or None for the usual one. Relative imports are not asked about.
    """

    def __import__(
        name: str,
        globals: Any = None,
        locals: Any = None,
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        if level == 0:
            if fromlist or "." not in name:
                module = resolve(name)
                if module is not None:
                    _import_submodules(module, fromlist)
                    return module
            elif resolve(name) is not None:
                # `import a.b` binds `a`: there must be a stand-in for it to show `b`.
                top = resolve(name.partition(".")[0])
                if top is not None:
                    return top
        return builtins.__import__(name, globals, locals, fromlist, level)

    namespace = dict(vars(builtins))
    namespace["__import__"] = __import__
    return namespace


def _import_submodules(module: ModuleType, fromlist: Any) -> None:
    """Do for a stand-in what `from package import submodule` does for a package."""
    if not fromlist or not hasattr(module, "__path__"):
        return
    for name in fromlist:
        if name != "*" and not hasattr(module, name):
            full = f"{module.__name__}.{name}"
            try:
                importlib.import_module(full)
            except ModuleNotFoundError as error:
                if error.name != full:
                    raise


def code_of(module: ModuleType) -> CodeType | None:
    """
    Return the code that `module` was made by, None if it was not made by Python code.
    """
    spec = getattr(module, "__spec__", None)
    loader = getattr(spec, "loader", None) or getattr(module, "__loader__", None)
    get_code = getattr(loader, "get_code", None)
    if get_code is None:
        return None
    name = spec.name if spec is not None else module.__name__
    try:
        return get_code(name)
    except ImportError:
        return None


def run_copy(source: ModuleType, namespace: dict[str, Any], resolve: Resolver) -> bool:
    """
    Run the code of `source` in `namespace`, its imports answered by `resolve`.

    `namespace` must be that of a module that `sys.modules` holds under its `__name__`:
    the enumerations of the standard library look themselves up there.

    Returns:
        False if `source` is not made by Python code; nothing was done then.
    """
    code = code_of(source)
    if code is None:
        return False
    namespace["__builtins__"] = bound_builtins(resolve)
    for name in ("__file__", "__path__"):
        if name not in namespace and hasattr(source, name):
            namespace[name] = getattr(source, name)
    exec(code, namespace)  # noqa: S102 - code of an installed standard library module
    return True


def derive(namespace: dict[str, Any], name: str, *, keep: tuple[str, ...] = ()) -> None:
    """
    Make the green module whose globals are `namespace` from standard module `name`.

    It becomes a copy of this interpreter's own module, with green modules wherever
    there is one for what it imports.

    Args:
        namespace: `globals()` of the green module.
        keep: Names to take from the standard module after all: exceptions that
            callers of either module must be able to catch by either name.
    """
    from eventlet._patch.plan import green_module

    source = importlib.import_module(name)
    document = namespace.get("__doc__")
    if not run_copy(source, namespace, green_module):
        message = f"{name} is not written in Python: it cannot be derived"
        raise ImportError(message, name=name)
    for attribute in keep:
        if hasattr(source, attribute):
            namespace[attribute] = getattr(source, attribute)
    namespace["__doc__"] = document or namespace.get("__doc__")


def borrow(namespace: dict[str, Any], name: str, *, skip: tuple[str, ...] = ()) -> None:
    """
    Fill the globals `namespace` of a green module with what is not in it yet.

    For modules that are green by a few replaced functions only.

    Args:
        name: The standard module; its original is used.
        skip: Names that have no green form and must not be offered.
    """
    from eventlet._patch.originals import original

    source = original(name)
    for attribute, value in vars(source).items():
        if attribute not in namespace and attribute not in skip:
            namespace[attribute] = value


def fresh_module(alias: str, source: ModuleType, resolve: Resolver) -> ModuleType:
    """
    Make a copy of `source`, known to `sys.modules` as `alias`.

    Extension modules have no code to run again: their copy holds the same functions
    and classes, and stays as it is when attributes of `source` are replaced.
    """
    copy = type(sys)(alias, source.__doc__)
    sys.modules[alias] = copy
    try:
        if not run_copy(source, vars(copy), resolve):
            vars(copy).update(vars(source))
            copy.__name__ = alias
    except BaseException:
        del sys.modules[alias]
        raise
    copy.__spec__ = None
    return copy
