"""
Locks that several processes share, and pipes between them, waited for by green threads.

Such a lock is a semaphore of the system, and the system offers no descriptor that tells
when it is free. A green thread therefore looks from time to time; waiting for it as the
standard module does would stop the others, among them perhaps the one that would make
the holder release it.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING, Any

from eventlet._patch.hybrid import can_park
from eventlet._patch.originals import original

if TYPE_CHECKING:
    from types import ModuleType

_monotonic = original("time").monotonic
# Seconds between two looks: the first, and the longest.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.0005, 0.01


def patch_synchronize(module: ModuleType) -> None:
    """
    Have the locks of `multiprocessing.synchronize` waited for cooperatively.

    Those made before keep the standard way of waiting, but in a `with` statement.
    """
    lock_class: Any = module.SemLock
    make_methods = lock_class._make_methods

    def _make_methods(self: Any) -> None:
        make_methods(self)
        self.acquire = functools.partial(acquire, self._semlock)

    def __enter__(self: Any) -> bool:
        return acquire(self._semlock)

    lock_class._make_methods = _make_methods
    lock_class.__enter__ = __enter__


def patch_connections() -> None:
    """
    Have `multiprocessing.connection` read and write green, if it is loaded.

    It keeps the functions of `os` as defaults of its methods. A fork server loads it
    before it loads the program that patches.
    """
    module: Any = sys.modules.get("multiprocessing.connection")
    if module is None:
        return
    from eventlet.green import os

    connection: Any = module.Connection
    connection._read, connection._write = os.read, os.write
    connection._recv.__defaults__ = (os.read,)
    connection._send.__defaults__ = (os.write,)


def acquire(semaphore: Any, block: bool = True, timeout: float | None = None) -> bool:
    """
    Take a semaphore of the system, waiting for it if need be. Switch point then.
    """
    if semaphore.acquire(False):
        return True
    if not block:
        return False
    if not can_park():
        return semaphore.acquire(True, timeout)
    from eventlet.greenthread import sleep

    end = None if timeout is None else _monotonic() + timeout
    pause = _FIRST_PAUSE
    while True:
        left = pause if end is None else min(pause, end - _monotonic())
        if left <= 0:
            return False
        sleep(left)
        if semaphore.acquire(False):
            return True
        pause = min(pause * 2, _LONGEST_PAUSE)
