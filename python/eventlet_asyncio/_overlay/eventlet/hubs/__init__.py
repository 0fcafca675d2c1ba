"""
Which hub each OS thread has, and what green code asks of it.

``EVENTLET_HUB`` or :func:`use_hub` names the kind:
``asyncio`` (the default), or ``epolls``, ``poll``, ``selects``
for the same engine without asyncio, or ``module:Class`` for a hub of one's own.
"""

from __future__ import annotations

import os
import sys
from _thread import _local
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from eventlet_asyncio import _core
from eventlet_asyncio._core import _in_green_coroutine as _in_green_coroutine
from eventlet_asyncio._core import trampoline

if TYPE_CHECKING:
    from eventlet.hubs.hub import BaseHub

__all__ = [
    "HubError",
    "IOClosed",
    "get_default_hub",
    "get_hub",
    "notify_close",
    "notify_opened",
    "trampoline",
    "use_hub",
]

#: Names that use_hub() and EVENTLET_HUB know without a module path.
builtin_hub_names = ("asyncio", "epolls", "kqueue", "poll", "selects")


class HubError(Exception):
    """A hub that was asked for cannot be used."""


class IOClosed(OSError):
    """A descriptor was closed while a green thread waited for it."""


_chosen: type[BaseHub] | None = None
#: Of each thread: a hub that is not based on the engine, if use_hub() was given one.
_foreign: Any = _local()


def get_default_hub() -> ModuleType:
    """Return the module of the hub that is used unless another is asked for."""
    return import_module("eventlet.hubs.asyncio")


def use_hub(mod: str | ModuleType | type[BaseHub] | None = None) -> None:
    """
    Choose the hub of this process; this thread's present one is closed.

    Args:
        mod: A name (``"asyncio"``, ``"epolls"``, ``"poll"``, ``"selects"``),
            ``"module:Class"`` or ``"module"``, a module with a class ``Hub``,
            a hub class, or None for the default.

    Raises:
        HubError: If the system does not offer that hub.
        RuntimeError: If called by a callback of the hub itself.
    """
    global _chosen  # noqa: PLW0603 - the choice is the process's
    _chosen = _resolve(mod)
    _install(_chosen)


def _resolve(mod: str | ModuleType | type[BaseHub] | None) -> type[BaseHub]:
    """Return the hub class that ``mod`` stands for."""
    found: Any = mod or get_default_hub()
    if isinstance(found, str):
        if not found.strip():
            message = "EVENTLET_HUB is blank: unset it, or name a hub"
            raise RuntimeError(message)
        module_name, _, class_name = found.partition(":")
        if module_name in builtin_hub_names:
            module_name = f"eventlet.hubs.{module_name}"
        found = import_module(module_name)
        if class_name:
            found = getattr(found, class_name)
    if isinstance(found, ModuleType):
        available = getattr(found, "is_available", None)
        if available is not None and not available():
            message = f"the hub {found.__name__} cannot be used on this system"
            raise HubError(message)
        found = found.Hub
    return found  # type: ignore[no-any-return]


def _install(cls: type[BaseHub]) -> BaseHub:
    """Make a hub of this class and give it to the running OS thread."""
    hub: Any = cls()
    if isinstance(hub, _core.Hub):
        _foreign.hub = None
        hub._install()
    else:
        # Upstream takes any class; the engine's own calls do not go through it.
        _foreign.hub = hub
    return hub  # type: ignore[no-any-return]


def get_hub() -> BaseHub:
    """Return the hub of the running OS thread, made if there is none."""
    hub: BaseHub | None = getattr(_foreign, "hub", None)
    if hub is None:
        hub = _core._existing_hub()
    if hub is not None:
        return hub
    cls = _chosen
    if cls is None:
        cls = _resolve(os.environ.get("EVENTLET_HUB"))
    return _install(cls)


def notify_close(fd: int) -> None:
    """
    Wake whoever waits for a descriptor that is about to be closed, with an error.

    That goes for green threads of other OS threads, too.
    """
    hub = _core._existing_hub()
    if hub is not None:
        hub.notify_close(fd)
    for other in _core._close_elsewhere(fd) or ():
        other._close_from_elsewhere(fd)  # type: ignore[attr-defined]


def notify_opened(fd: int) -> None:
    """Drop what is known of a descriptor number that names a new file now."""
    hub = _core._existing_hub()
    if hub is not None:
        hub.mark_as_reopened(fd)
    for other in _core._close_elsewhere(fd) or ():
        other._close_from_elsewhere(fd)  # type: ignore[attr-defined]


def _after_fork_in_child() -> None:
    try:
        _core._after_fork_in_child()
    except BaseException:
        sys.excepthook(*sys.exc_info())


_core._set_hub_factory(get_hub)
os.register_at_fork(
    before=_core._before_fork,
    after_in_parent=_core._after_fork_in_parent,
    after_in_child=_after_fork_in_child,
)
