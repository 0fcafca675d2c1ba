"""Be told when a module is about to be made, and when it has been executed."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType


class LoadWatch:
    """
    A finder that answers for a few names, with what the other finders find.

    Args:
        names: The modules that are watched.
        after: Called with the name of a module that has been executed.
        before: Called with the name before the module is made; what it raises
            is what the import raises. Questions (``find_spec``) are answered
            without asking it.
    """

    eventlet_asyncio_watch = True

    def __init__(
        self,
        names: frozenset[str],
        after: Callable[[str], object],
        before: Callable[[str], object] | None = None,
    ) -> None:
        self._names = names
        self.after = after
        self.before = before
        self._asking = threading.local()

    def install(self) -> None:
        """Be asked first; again, where others have come since."""
        self.uninstall()
        sys.meta_path.insert(0, self)

    def uninstall(self) -> None:
        """Be asked no more."""
        sys.meta_path[:] = [entry for entry in sys.meta_path if entry is not self]

    def find_spec(
        self,
        name: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Return what the others find, with a loader that reports."""
        if name not in self._names or getattr(self._asking, "value", False):
            return None
        self._asking.value = True
        try:
            spec = _find(name, path, target, self)
        finally:
            self._asking.value = False
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(self, name, spec.loader)  # type: ignore[assignment]
        return spec


def _find(name: str, path: Any, target: Any, skip: object) -> ModuleSpec | None:
    for finder in sys.meta_path:
        if finder is not skip and hasattr(finder, "find_spec"):
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                return spec
    return None


class _Loader:
    """Reports before a module is made and after it has been executed."""

    def __init__(self, watch: LoadWatch, name: str, inner: Any) -> None:
        self._watch = watch
        self._name = name
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def create_module(self, spec: ModuleSpec) -> Any:
        if self._watch.before is not None:
            self._watch.before(self._name)
        return self._inner.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        # Whoever looks at the module's loader later finds the real one.
        module.__loader__ = self._inner
        if module.__spec__ is not None:
            module.__spec__.loader = self._inner
        self._inner.exec_module(module)
        self._watch.after(self._name)
