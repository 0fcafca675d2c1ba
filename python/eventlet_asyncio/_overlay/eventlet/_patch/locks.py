"""
Green versions of locks that were made before patching.

A C-level `RLock` belongs to an OS thread: all green threads of one would hold it
together, and none would ever wait. Each one found is replaced, wherever it is referred
to, by one that belongs to a green thread. So is the class, where modules hold it.

Plain locks have no owner and stay: what waits on conditions, events and queues made
before patching takes its waiter locks from the patched module anyway.
"""

from __future__ import annotations

import gc
import importlib
import sys
import threading as _threading
from types import BuiltinMethodType, CellType
from typing import TYPE_CHECKING, Any

from eventlet._patch.originals import PREFIX, original, real_get_ident

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

threading: Any = _threading
_CRLock: Any = original("_thread").RLock

# Seconds between two looks at a lock whose release nobody reports.
_SETTLE_PAUSE = 0.005

_FOREIGN = (
    PREFIX,
    "eventlet._patch",
    "asyncio",
    "concurrent.futures",
    "importlib._bootstrap",
    "_frozen_importlib",
)


def upgrade_rlocks() -> None:
    """
    Replace all C-level reentrant locks of the process by green ones.

    Locks that asyncio, the executors and original modules use are left to them, and so
    is a lock that another OS thread holds at this moment.
    """
    _replace_captured_class()
    foreign = set(_foreign_locks())
    replaced = {}
    for candidate in gc.get_objects():
        if type(candidate) is _CRLock and id(candidate) not in foreign:
            green = _green_version(candidate)
            if green is not None:
                replaced[id(candidate)] = (candidate, green)
    if replaced:
        _exchange(replaced)


def _replace_captured_class() -> None:
    for name, module in list(sys.modules.items()):
        if name.startswith((*_FOREIGN, "eventlet")):
            continue
        for attribute, value in list(getattr(module, "__dict__", {}).items()):
            if value is _CRLock:
                setattr(module, attribute, threading._CRLock)


def _foreign_locks() -> Iterator[int]:
    for name, module in list(sys.modules.items()):
        if name.startswith(_FOREIGN):
            for value in list(getattr(module, "__dict__", {}).values()):
                if type(value) is _CRLock:
                    yield id(value)


def _green_version(old: Any) -> Any:
    """
    Return a green lock in the state of `old`, None if it belongs to another OS thread.
    """
    if old._is_owned():
        state = old._release_save()
        old._acquire_restore(state)
        return _HeldRLock(old, state[0])
    if not old.acquire(blocking=False):
        return None
    old.release()
    return threading._CRLock()


class _HeldRLock(threading._PyRLock):
    """
    A green lock that starts out held, as the lock is that it replaces.

    A `with` statement that runs at that moment has the old lock in hand, and will not
    release this one: so its part of the hold lasts only as long as the old lock is held.
    """

    def __init__(self, old: Any, count: int) -> None:
        super().__init__()
        self._block.acquire()
        self._owner = threading.get_ident()
        self._count = self._inherited = count
        # In a tuple, which the exchange of locks passes over.
        self._old = (old,)

    def _settle(self) -> None:
        if not self._inherited or _is_held(self._old[0]):
            return
        self._count -= self._inherited
        self._inherited = 0
        if self._count <= 0:
            self._owner, self._count = None, 0
            self._block.release()

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """
        Take the lock, waiting for it if need be.
        """
        self._settle()
        if not blocking or not self._inherited or self._is_owned():
            return super().acquire(blocking, timeout)
        # Nothing tells when the `with` statement ends: look from time to time.
        clock = original("time").monotonic
        end = None if timeout < 0 else clock() + timeout
        while not super().acquire(True, _SETTLE_PAUSE):
            self._settle()
            if end is not None and clock() >= end:
                return False
        return True

    __enter__ = acquire

    def release(self) -> None:
        """
        Give the lock back once.
        """
        self._settle()
        super().release()
        if self._count < self._inherited:
            self._inherited -= 1
            self._old[0].release()


def _is_held(lock: Any) -> bool:
    if lock._is_owned():
        return True
    if not lock.acquire(blocking=False):
        return True
    lock.release()
    return False


def _exchange(replaced: dict[int, tuple[Any, Any]]) -> None:
    # Classes first, and through setattr: the interpreter caches their attributes.
    for cls in [o for o in gc.get_objects() if isinstance(o, type)]:
        for name, value in list(vars(cls).items()):
            if id(value) in replaced:
                setattr(cls, name, replaced[id(value)][1])
    olds = [old for old, _green in replaced.values()]
    methods = [m for m in gc.get_referrers(*olds) if isinstance(m, BuiltinMethodType)]
    swaps = {key: green for key, (_old, green) in replaced.items()}
    for method in methods:
        green = replaced[id(method.__self__)][1]
        swaps[id(method)] = getattr(green, method.__name__)
    ours = (replaced, swaps, olds, methods)
    for holder in gc.get_referrers(*olds, *methods):
        if not any(holder is mine for mine in ours):
            _exchange_in(holder, swaps)


def _exchange_in(holder: Any, swaps: dict[int, Any]) -> None:
    if isinstance(holder, dict):
        if _is_foreign_namespace(holder):
            return
        _exchange_items(holder, dict.items(holder), dict.__setitem__, swaps)
    elif isinstance(holder, list):
        _exchange_items(holder, enumerate(holder), list.__setitem__, swaps)
    elif isinstance(holder, CellType):
        if id(holder.cell_contents) in swaps:
            holder.cell_contents = swaps[id(holder.cell_contents)]
    elif not isinstance(holder, type) and not _is_original(holder):
        _exchange_attributes(holder, swaps)


def _exchange_items(
    holder: Any, items: Iterable[tuple[Any, Any]], store: Any, swaps: dict[int, Any]
) -> None:
    for key, value in list(items):
        if id(value) in swaps:
            store(holder, key, swaps[id(value)])


def _is_original(holder: Any) -> bool:
    return str(getattr(type(holder), "__module__", "")).startswith(_FOREIGN)


def _is_foreign_namespace(holder: dict[Any, Any]) -> bool:
    """
    Say whether `holder` is the namespace of a module or object to be left alone.
    """
    name = dict.get(holder, "__name__")
    if isinstance(name, str):
        return name.startswith(_FOREIGN)
    # Up to CPython 3.10 it is the dict of an object that refers to the lock.
    owners = gc.get_referrers(holder)
    return any(
        _is_original(owner) and getattr(owner, "__dict__", None) is holder
        for owner in owners
    )


def _exchange_attributes(holder: Any, swaps: dict[int, Any]) -> None:
    namespace = getattr(holder, "__dict__", None)
    if isinstance(namespace, dict):
        _exchange_items(holder, namespace.items(), _set_in_dict, swaps)
    for cls in type(holder).__mro__:
        slots = vars(cls).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            slot: Any = vars(cls).get(_mangled(cls, name))
            value = _content(slot, holder)
            if slot is not None and id(value) in swaps:
                slot.__set__(holder, swaps[id(value)])


def _set_in_dict(holder: Any, name: str, value: Any) -> None:
    holder.__dict__[name] = value


def _mangled(cls: type, name: str) -> str:
    if name.startswith("__") and not name.endswith("__"):
        return f"_{cls.__name__.lstrip('_')}{name}"
    return name


def _content(slot: Any, holder: Any) -> Any:
    try:
        return slot.__get__(holder)
    except AttributeError:  # empty, or not a slot
        return None


def free_import_locks() -> None:
    """
    Have the import system wait cooperatively, and tell green threads apart.

    Otherwise a green thread that imports a module which another one is just importing
    would get it half made, and one that loses a race with an OS thread would stop all.
    Imports that are under way are not disturbed: the identities they go by remain.
    """
    bootstrap: Any = importlib.import_module("importlib._bootstrap")

    from eventlet._patch import hybrid

    if bootstrap._thread is hybrid.thread:
        return
    here, me = real_get_ident(), hybrid.thread.get_ident()
    for reference in list(bootstrap._module_locks.values()):
        lock = reference()
        if lock is not None and lock.owner == here:
            lock.owner = me
    bootstrap._thread = hybrid.thread
