"""
The module `select` on green threads.

`select`, `poll` and `epoll` let other green threads run while they wait. `select` takes any
number of descriptors of any height. What else waits in the standard module is left out.
"""

from __future__ import annotations

from typing import Any

from eventlet._patch.copies import borrow as _borrow
from eventlet._patch.originals import original
from eventlet.greenthread import sleep
from eventlet.hubs import get_hub, notify_close
from eventlet.support.greenlets import getcurrent

_select = original("select")
_monotonic = original("time").monotonic
error = _select.error

__all__ = ["error", "get_fileno", "get_hub", "poll", "select"]
__patched__ = ["epoll", "poll", "select"]

_IN = _select.POLLIN | _select.POLLHUP | _select.POLLERR
_OUT = _select.POLLOUT | _select.POLLERR
_PRI = _select.POLLPRI
_ANY = _select.POLLIN | _select.POLLPRI | _select.POLLOUT


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
    ready = wanted._look()
    if ready is not None or timeout == 0:
        # Callers that poll in a loop must not keep others from running.
        sleep(0)
        return ready or wanted._look() or ([], [], [])
    return wanted._wait(timeout) or ([], [], [])


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


class _Waiting:
    """A wait for any of several descriptors."""

    _events: dict[int, int]
    """What is waited for, as for `select.poll`."""

    def _look(self) -> Any:
        """Return what is ready now, None if nothing is."""
        raise NotImplementedError

    def _wait(self, timeout: float | None) -> Any:
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
                    return self._look()
                ready = self._look()
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


class _Wanted(_Waiting):
    """The descriptors of one call of `select`, and the objects that stand for them."""

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

    def _look(self) -> tuple[list[Any], list[Any], list[Any]] | None:
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


class poll(_Waiting):
    """
    A list of descriptors to wait for, as from `select.poll`.
    """

    def __init__(self) -> None:
        self._events = {}
        self._poll = _select.poll()

    def register(self, fd: Any, eventmask: int = _ANY) -> None:
        """
        Wait for `eventmask` of the descriptor `fd` as well, or for that instead.
        """
        self._poll.register(fd, eventmask)
        self._events[get_fileno(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int) -> None:
        """
        Wait for `eventmask` of a descriptor that is registered.

        Raises:
            FileNotFoundError: If it is not.
        """
        self._poll.modify(fd, eventmask)
        self._events[get_fileno(fd)] = eventmask

    def unregister(self, fd: Any) -> None:
        """
        Wait for the descriptor no more.

        Raises:
            KeyError: If it is not registered.
        """
        self._poll.unregister(fd)
        self._events.pop(get_fileno(fd), None)

    def poll(self, timeout: float | None = None, /) -> list[tuple[int, int]]:
        """
        Wait until one of the descriptors is ready. Switch point.

        Args:
            timeout: Milliseconds to wait at most; None or negative for no limit.

        Returns:
            Pairs of a descriptor and what is ready; empty if the time is over.
        """
        limit = _seconds(timeout, 1000)
        ready = self._poll.poll(0)
        if ready or limit == 0:
            # Nobody waits for nothing: this is how modules ask whether there is `poll`.
            return _after_a_turn(ready, self._look) if self._events else ready
        return self._wait(limit) or []

    def _look(self) -> list[tuple[int, int]] | None:
        return self._poll.poll(0) or None

    def _wait(self, timeout: float | None) -> Any:
        try:
            return super()._wait(timeout)
        except OSError:
            # One that was closed meanwhile is told of like any other event.
            ready = self._look()
            if ready is None:
                raise
            return ready


class epoll(_Waiting):
    """
    A set of descriptors that the kernel watches, as from `select.epoll`.
    """

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._take(_select.epoll(sizehint, flags))

    @classmethod
    def fromfd(cls, fd: int, /) -> epoll:
        """
        Return an object for a descriptor that is one of `epoll`.
        """
        made = cls.__new__(cls)
        made._take(_select.epoll.fromfd(fd))
        return made

    def _take(self, real: Any) -> None:
        self._real = real
        self._events = {real.fileno(): _select.POLLIN}
        self.fileno = real.fileno
        self.register = real.register
        self.modify = real.modify
        self.unregister = real.unregister

    @property
    def closed(self) -> bool:
        """
        Whether the descriptor has been closed.
        """
        closed: bool = self._real.closed
        return closed

    def close(self) -> None:
        """
        Close the descriptor; who waits for it gets an error.
        """
        if not self._real.closed:
            notify_close(self._real.fileno())
        self._real.close()

    def __enter__(self) -> epoll:
        self._real.__enter__()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def poll(
        self, timeout: float | None = None, maxevents: int = -1
    ) -> list[tuple[int, int]]:
        """
        Wait until one of the descriptors is ready. Switch point.

        Args:
            timeout: Seconds to wait at most; None or negative for no limit.
            maxevents: How many to tell of at most; -1 for no limit.

        Returns:
            Pairs of a descriptor and what is ready; empty if the time is over.
        """
        limit = _seconds(timeout, 1)

        def look() -> list[tuple[int, int]]:
            return self._real.poll(0, maxevents)

        ready = look()
        if ready or limit == 0:
            return _after_a_turn(ready, look)
        end = None if limit is None else _monotonic() + limit
        while self._wait(limit) is not None:
            ready = look()
            if ready:
                return ready
            # Another green thread was told of it.
            if end is not None:
                limit = max(end - _monotonic(), 0)
        return []

    def _look(self) -> bool | None:
        """Say whether there is an event; takes none, for there are edges."""
        poll = _select.poll()
        poll.register(self._real.fileno(), _select.POLLIN)
        return True if poll.poll(0) else None


if not hasattr(_select, "epoll"):
    del epoll


def _after_a_turn(ready: list[Any], look: Any) -> list[Any]:
    """Let others run, since callers that poll in a loop must not keep them from it."""
    sleep(0)
    return ready or look() or []


def _seconds(timeout: float | None, unit: int) -> float | None:
    return None if timeout is None or timeout < 0 else timeout / unit


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


# Constants; what else waits has no green form.
_borrow(globals(), "select", skip=("devpoll", "epoll", "kevent", "kqueue"))
