"""
The module `select` on green threads.

`select` is the one function offered: it takes any number of descriptors of any height,
and lets other green threads run while it waits. `poll`, `epoll` and the like keep state
outside the process that a green thread cannot wait on, so they are left out.
"""

from __future__ import annotations

from typing import Any

from eventlet._patch.originals import original
from eventlet.greenthread import sleep
from eventlet.hubs import get_hub
from eventlet.support.greenlets import getcurrent

_select = original("select")
error = _select.error

__all__ = ["error", "get_fileno", "get_hub", "select"]
__patched__ = ["select"]

_IN = _select.POLLIN | _select.POLLHUP | _select.POLLERR
_OUT = _select.POLLOUT | _select.POLLERR
_PRI = _select.POLLPRI


def get_fileno(obj: Any) -> int:
    """
    Return the descriptor that `obj` is or has.

    Raises:
        TypeError: If it is neither an integer nor gives one from `fileno()`.
    """
    fileno = getattr(obj, "fileno", None)
    if fileno is not None:
        obj = fileno()
    if not isinstance(obj, int):
        message = f"Expected int or long, got {type(obj)}"
        raise TypeError(message)
    return obj


def select(
    read_list: Any, write_list: Any, error_list: Any, timeout: float | None = None
) -> tuple[list[Any], list[Any], list[Any]]:
    """
    Wait until one of the descriptors is ready, at most `timeout` seconds. Switch point.

    Returns:
        Three lists: the objects ready for reading, those ready for writing, and those
        with an exceptional condition. All empty if the time is over.

    Raises:
        TypeError: If an object has no descriptor, or `timeout` is no number.
        ValueError: If a descriptor or `timeout` is negative.
        OSError: If a descriptor is not open, or is closed during the wait.
    """
    if timeout is not None:
        timeout = _checked(timeout)
    wanted = _Wanted(read_list, write_list, error_list)
    ready = wanted.poll()
    if ready is not None or timeout == 0:
        # Callers that poll in a loop must not keep others from running.
        sleep(0)
        return ready or wanted.poll() or ([], [], [])
    return wanted.wait(timeout) or ([], [], [])


def _checked(timeout: Any) -> float:
    try:
        seconds = float(timeout)
    except (TypeError, ValueError):
        message = "timeout must be a float or None"
        raise TypeError(message) from None
    if seconds < 0:
        message = "timeout must be non-negative"
        raise ValueError(message)
    return seconds


class _Wanted:
    """The descriptors of one call, and the objects that stand for them."""

    def __init__(self, read_list: Any, write_list: Any, error_list: Any) -> None:
        self._lists = [
            [(_valid(get_fileno(obj)), obj) for obj in objs]
            for objs in (read_list, write_list, error_list)
        ]
        events: dict[int, int] = {}
        masks = (_select.POLLIN, _select.POLLOUT, _PRI)
        for mask, pairs in zip(masks, self._lists, strict=True):
            for fd, _obj in pairs:
                events[fd] = events.get(fd, 0) | mask
        self._events = events
        self._poll = _select.poll()
        for fd, mask in events.items():
            self._poll.register(fd, mask)

    def poll(self) -> tuple[list[Any], list[Any], list[Any]] | None:
        """Return what is ready now, None if nothing is."""
        found = dict(self._poll.poll(0))
        if not found:
            return None
        for fd, events in found.items():
            if events & _select.POLLNVAL:
                message = f"file descriptor {fd} is not open"
                raise OSError(9, message)
        masks = (_IN, _OUT, _PRI)
        lists = [
            [obj for fd, obj in pairs if found.get(fd, 0) & mask]
            for mask, pairs in zip(masks, self._lists, strict=True)
        ]
        return (lists[0], lists[1], lists[2]) if any(lists) else None

    def wait(
        self, timeout: float | None
    ) -> tuple[list[Any], list[Any], list[Any]] | None:
        """Park until something is ready or the time is over."""
        hub = get_hub()
        current = getcurrent()
        timer = None
        inner = self._gather()
        try:
            if timeout is not None:
                timer = hub.schedule_call_global(timeout, _wake, current, _TIMED_OUT)
            while True:
                if self._park(hub, current, inner) is _TIMED_OUT:
                    return self.poll()
                ready = self.poll()
                if ready is not None:
                    return ready
        finally:
            if timer is not None:
                timer.cancel()
            if inner is not None:
                inner.close()

    def _gather(self) -> Any:
        """
        Return an epoll object that is readable once one of the descriptors is ready.

        Looking whether a descriptor is ready takes nothing from those who read it, and
        they are no reason for the hub to refuse one another. Besides, the hub does not
        tell exceptional conditions from ordinary data.
        """
        if not hasattr(_select, "epoll"):
            return None
        inner = _select.epoll()
        try:
            for fd, events in self._events.items():
                inner.register(fd, events)
        except BaseException:
            inner.close()
            raise
        return inner

    def _park(self, hub: Any, current: Any, inner: Any) -> Any:
        woken = [False]

        def ready(_fd: Any = None) -> None:
            if not woken[0]:
                woken[0] = True
                current.switch(None)

        def failed(*error: Any) -> None:
            if not woken[0]:
                woken[0] = True
                current.throw(*error)

        def watch(kind: Any, fd: int) -> None:
            # What follows the notice of closing is the error, which is what counts.
            listeners.append(hub.add(kind, fd, ready, failed, _closing))

        listeners: list[Any] = []
        silent: list[tuple[Any, Any]] = []
        try:
            if inner is not None:
                watch(hub.READ, inner.fileno())
                for fd in self._events:
                    listener = hub.lclass(hub.READ, fd, ready, failed, _closing)
                    told = hub.secondaries[hub.READ].setdefault(fd, [])
                    told.append(listener)
                    silent.append((told, listener))
            else:
                for kind, mask in (
                    (hub.READ, _IN | _PRI),
                    (hub.WRITE, _select.POLLOUT),
                ):
                    for fd, events in self._events.items():
                        if events & mask:
                            watch(kind, fd)
            return hub.switch()
        finally:
            woken[0] = True
            for listener in listeners:
                hub.remove(listener)
            for told, listener in silent:
                if listener in told:
                    told.remove(listener)
                if not told:
                    hub.secondaries[hub.READ].pop(listener.fileno, None)


_TIMED_OUT = object()


def _valid(fd: int) -> int:
    if fd < 0:
        message = f"file descriptor cannot be a negative integer ({fd})"
        raise ValueError(message)
    return fd


def _wake(current: Any, value: Any) -> None:
    current.switch(value)


def _closing() -> None:
    """Take notice that a descriptor is closed."""
