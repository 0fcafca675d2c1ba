"""
The lock and the conditions of a standard queue, for a green one whose waits are native.

Programs take `mutex` to look at a queue's items or to clear it, wait for
`all_tasks_done` with a timeout, and bring methods of their own that wait for
`not_empty`. The first look at any of the four gives a queue a class of its own,
which tells the conditions what happens to it; no other queue pays for them.

The queue's own methods wait until nobody holds `mutex`, and do not hold it themselves:
between two switch points nobody is in the middle of something.
"""

from __future__ import annotations

from typing import Any

from eventlet import queue as _queue
from eventlet._patch.originals import original
from eventlet.green import threading

_native_size: Any = _queue.LightQueue.maxsize
# Held while a queue is changed, which several OS threads may ask for; nothing in it waits.
_changing = original("threading").Lock()


class _Condition(threading.Condition):  # type: ignore[name-defined]
    """A condition of one queue: what notifies it wakes the queue's own waits, too."""

    def __init__(self, lock: Any, served: Any) -> None:
        super().__init__(lock)
        self._served = served
        self._telling = False

    def _is_owned(self) -> bool:
        return self._telling or bool(super()._is_owned())

    def notify(self, n: int = 1) -> None:
        """Wake `n` of those who wait; the caller holds the lock."""
        super().notify(n)
        if not self._telling:
            self._served()

    def tell(self, n: int) -> None:
        """Do as `notify` for the queue itself, which holds no lock."""
        self._telling = True
        try:
            self.notify(n)
        finally:
            self._telling = False


class _Telling:
    """What a queue becomes whose conditions somebody looked at."""

    __slots__ = ()

    def _put(self: Any, item: Any) -> None:
        super()._put(item)
        self.not_empty.tell(1)

    def _get(self: Any) -> Any:
        item = super()._get()
        self.not_full.tell(1)
        return item

    def put(self: Any, item: Any, block: bool = True, timeout: Any = None) -> None:
        with self.mutex:
            pass
        super().put(item, block, timeout)

    def get(self: Any, block: bool = True, timeout: Any = None) -> Any:
        with self.mutex:
            pass
        return super().get(block, timeout)

    def task_done(self: Any) -> None:
        with self.mutex:
            pass
        super().task_done()
        if not self.unfinished_tasks:
            self.all_tasks_done.tell(len(self.all_tasks_done._waiters))

    def _interrupt(self: Any, error: type[BaseException]) -> None:
        for condition in (self.not_empty, self.not_full):
            condition.tell(len(condition._waiters))
        super()._interrupt(error)


def give_locks(owner: Any) -> None:
    """Set the four attributes on a queue, and keep them true from now on."""
    mutex = threading.Lock()

    def serve() -> None:
        _queue.LightQueue.resize(owner, _native_size.__get__(owner))

    names = ("not_empty", "not_full", "all_tasks_done")
    conditions = {name: _Condition(mutex, serve) for name in names}
    kind = type(owner)
    made = type(kind.__name__, (_Telling, kind), {"__slots__": ()})
    made.__module__, made.__qualname__ = kind.__module__, kind.__qualname__
    with _changing:
        if "mutex" in vars(owner):
            return
        vars(owner).update(conditions, mutex=mutex)
        # `_put` and `_get` are asked from now on, and store where `queue` shows it.
        owner.queue  # noqa: B018
        owner.__class__ = made
        owner._look_anew()
