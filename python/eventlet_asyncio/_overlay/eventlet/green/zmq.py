"""
The package `zmq` (pyzmq) with sockets that let other green threads run.

A ØMQ socket has one descriptor, which signals once that something changed and says
nothing about what: whoever is woken has to ask the socket, and any send or receive may
swallow the signal meant for the other direction. So one listener per socket looks at
its state and wakes the sender and the receiver that wait, and each of them looks after
its own operation whether the other one has become possible.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import zmq as _standard
from zmq import *
from zmq.constants import *

from eventlet import hubs
from eventlet.greenio.base import pay_operation as _pay_operation
from eventlet.hubs import get_hub
from eventlet.patcher import slurp_properties
from eventlet.support import greenlets

__patched__ = ["Context", "Socket"]

_zmq: Any = _standard

slurp_properties(_zmq, globals(), ignore=__patched__)
__all__ = ["deque", "slurp_properties"]
__all__ += _zmq.__all__

_EAGAIN, _EVENTS, _NOBLOCK = _zmq.EAGAIN, _zmq.EVENTS, _zmq.NOBLOCK
_POLLIN, _POLLOUT = _zmq.POLLIN, _zmq.POLLOUT
_SNDMORE, _RCVMORE = _zmq.SNDMORE, _zmq.RCVMORE
Again, ZMQError = _zmq.Again, _zmq.ZMQError


class LockReleaseError(Exception):
    """Raised by a release of a lock that is not taken."""


class _QueueLock:
    """
    A lock that green threads get in order of arrival, and may take more than once.

    True while somebody holds it.
    """

    def __init__(self) -> None:
        self._waiters: deque[Any] = deque()
        self._holder: Any = None
        self._count = 0

    def __bool__(self) -> bool:
        return bool(self._count)

    __nonzero__ = __bool__

    def __enter__(self) -> _QueueLock:
        self.acquire()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.release()

    def acquire(self) -> None:
        """
        Take the lock. Switch point if another green thread holds it.
        """
        current = greenlets.getcurrent()
        if not self._count or self._holder is current:
            self._holder = current
            self._count += 1
            return
        self._waiters.append(current)
        try:
            hubs.get_hub().switch()
        except BaseException:
            if current in self._waiters:
                self._waiters.remove(current)
            elif self._holder is current:
                self.release()
            raise

    def release(self) -> None:
        """
        Give the lock back, or to whoever waits longest.

        Raises:
            LockReleaseError: If nobody holds it.
        """
        if not self._count:
            message = "Cannot release unacquired lock"
            raise LockReleaseError(message)
        self._count -= 1
        if self._count:
            return
        self._holder = None
        if self._waiters:
            self._holder = self._waiters.popleft()
            self._count = 1
            hubs.get_hub().schedule_call_global(0, self._holder.switch)


class _BlockedThread:
    """
    A place for one green thread to wait. True while one does.
    """

    def __init__(self) -> None:
        self._blocked: Any = None
        self._wakeup: Any = None

    def __bool__(self) -> bool:
        return self._blocked is not None

    __nonzero__ = __bool__

    def block(self, deadline: float | None = None) -> None:
        """
        Wait for `wake`. Switch point.

        Args:
            deadline: Seconds to wait at most.

        Raises:
            Again: If nobody wakes it in time.
        """
        if self._blocked is not None:
            message = "Cannot block more than one thread on one BlockedThread"
            raise RuntimeError(message)
        hub = get_hub()
        current = self._blocked = greenlets.getcurrent()
        timer = None
        if deadline is not None:
            timer = hub.schedule_call_global(deadline, current.throw, _timed_out())
        try:
            hub.switch()
        finally:
            self._blocked = None
            if timer is not None:
                timer.cancel()
            if self._wakeup is not None:
                self._wakeup.cancel()
                self._wakeup = None

    def wake(self) -> bool:
        """
        Wake the green thread that waits, and say whether there is one.
        """
        if self._blocked is None:
            return False
        if self._wakeup is None:
            self._wakeup = get_hub().schedule_call_global(0, self._blocked.switch)
        return True


_StandardContext: Any = _zmq.Context


class Context(_StandardContext):
    """A context whose sockets are green."""

    def socket(self, socket_type: Any, *args: Any, **kwargs: Any) -> Any:
        """
        Return a new green socket.

        Raises:
            ZMQError: If the context is closed.
        """
        if self.closed:
            raise ZMQError(_zmq.ENOTSUP)
        return Socket(self, socket_type)


_StandardSocket: Any = _zmq.Socket


class Socket(_StandardSocket):
    """A socket on which waiting lets other green threads run."""

    def __init__(self, context: Any, socket_type: Any, *args: Any, **kw: Any) -> None:
        super().__init__(context, socket_type, *args, **kw)
        # The base class takes unknown attributes for socket options.
        green = self.__dict__
        green["_eventlet_send_event"] = _BlockedThread()
        green["_eventlet_recv_event"] = _BlockedThread()
        green["_eventlet_send_lock"] = _QueueLock()
        green["_eventlet_recv_lock"] = _QueueLock()
        green["_eventlet_fd"] = fd = super().getsockopt(_zmq.FD)

        def changed(_fd: Any = None) -> None:
            # The descriptor signals edges: asking for the state arms it again.
            if self.closed:
                return
            try:
                events = _StandardSocket.getsockopt(self, _EVENTS)
            except ZMQError:
                events = _POLLIN | _POLLOUT
            if events & _POLLOUT:
                self._eventlet_send_event.wake()
            if events & _POLLIN:
                self._eventlet_recv_event.wake()

        green["_eventlet_changed"] = changed
        green["_eventlet_listener"] = None
        green["_eventlet_waiting"] = 0
        hubs.notify_opened(fd)

    # One listener serves senders and receivers, for as long as any of them waits.

    def _listen(self) -> None:
        green = self.__dict__
        green["_eventlet_waiting"] += 1
        if green["_eventlet_listener"] is None:
            hub = get_hub()
            green["_eventlet_listener"] = hub.add(
                hub.READ,
                green["_eventlet_fd"],
                green["_eventlet_changed"],
                _ignore,
                _ignore,
            )

    def _unlisten(self) -> None:
        green = self.__dict__
        green["_eventlet_waiting"] -= 1
        if not green["_eventlet_waiting"]:
            self._drop_listener()

    def _drop_listener(self) -> None:
        listener = self.__dict__["_eventlet_listener"]
        if listener is not None:
            self.__dict__["_eventlet_listener"] = None
            get_hub().remove(listener)

    def close(self, linger: int | None = None) -> None:
        """
        Close the socket; whoever waits on it gets an error.
        """
        super().close(linger)
        if "_eventlet_listener" in self.__dict__:
            self._drop_listener()
            self._eventlet_send_event.wake()
            self._eventlet_recv_event.wake()

    def getsockopt(self, option: Any) -> Any:
        """
        Return the value of an option.

        Asking for the events takes the signal for them: those who wait get it.
        """
        result = super().getsockopt(option)
        if option == _EVENTS:
            if result & _POLLOUT:
                self._eventlet_send_event.wake()
            if result & _POLLIN:
                self._eventlet_recv_event.wake()
        return result

    get = getsockopt

    def _repeat(
        self,
        event: _BlockedThread,
        other: _BlockedThread,
        mask: int,
        call: Any,
        timeout: int,
    ) -> Any:
        """Do `call` as soon as it does not fail for want of readiness."""
        _pay_operation()
        deadline = timeout / 1000 if timeout >= 0 else None
        end = None if deadline is None else _now() + deadline
        while True:
            try:
                result = call()
            except ZMQError as error:
                if error.errno != _EAGAIN:
                    raise
                left = None if end is None else end - _now()
                if left is not None and left <= 0:
                    raise _timed_out() from None
                self._block(event, mask, left)
            else:
                # The call may have taken the signal that the others wait for.
                if other or event:
                    self.getsockopt(_EVENTS)
                return result

    def _block(self, event: _BlockedThread, mask: int, left: float | None) -> None:
        self._listen()
        try:
            if not super().getsockopt(_EVENTS) & mask:
                event.block(left)
        finally:
            self._unlisten()

    def send(
        self,
        msg: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        **kwargs: Any,
    ) -> Any:
        """
        Send a message. Switch point if there is no room for it.

        Raises:
            Again: If the time set by SNDTIMEO passes first.
        """
        send = super().send
        if flags & _NOBLOCK:
            result = send(msg, flags, copy, track, **kwargs)
            if self._eventlet_recv_event:
                self.getsockopt(_EVENTS)
            return result
        flags |= _NOBLOCK
        with self._eventlet_send_lock:
            return self._repeat(
                self._eventlet_send_event,
                self._eventlet_recv_event,
                _POLLOUT,
                lambda: send(msg, flags, copy, track, **kwargs),
                self.getsockopt(_zmq.SNDTIMEO),
            )

    def send_multipart(
        self,
        msg_parts: Any,
        flags: int = 0,
        copy: bool = True,
        track: bool = False,
        **kwargs: Any,
    ) -> Any:
        """
        Send several parts as one message. Switch point.
        """
        if flags & _NOBLOCK:
            return super().send_multipart(msg_parts, flags, copy, track, **kwargs)
        with self._eventlet_send_lock:
            return super().send_multipart(msg_parts, flags, copy, track, **kwargs)

    def recv(self, flags: int = 0, copy: bool = True, track: bool = False) -> Any:
        """
        Return a message. Switch point if there is none.

        Raises:
            Again: If the time set by RCVTIMEO passes first.
        """
        recv = super().recv
        if flags & _NOBLOCK:
            result = recv(flags, copy, track)
            if self._eventlet_send_event:
                self.getsockopt(_EVENTS)
            return result
        flags |= _NOBLOCK
        with self._eventlet_recv_lock:
            return self._repeat(
                self._eventlet_recv_event,
                self._eventlet_send_event,
                _POLLIN,
                lambda: recv(flags, copy, track),
                self.getsockopt(_zmq.RCVTIMEO),
            )

    def recv_into(self, buffer: Any, /, *, nbytes: int = 0, flags: int = 0) -> int:
        """
        Read a message into `buffer` and return its size. Switch point.
        """
        recv_into = super().recv_into
        if flags & _NOBLOCK:
            return recv_into(buffer, nbytes=nbytes, flags=flags)
        with self._eventlet_recv_lock:
            return self._repeat(
                self._eventlet_recv_event,
                self._eventlet_send_event,
                _POLLIN,
                lambda: recv_into(buffer, nbytes=nbytes, flags=flags | _NOBLOCK),
                self.getsockopt(_zmq.RCVTIMEO),
            )

    def recv_multipart(
        self, flags: int = 0, copy: bool = True, track: bool = False
    ) -> Any:
        """
        Return all parts of a message. Switch point.
        """
        if flags & _NOBLOCK:
            return super().recv_multipart(flags, copy, track)
        with self._eventlet_recv_lock:
            return super().recv_multipart(flags, copy, track)

    def poll(self, timeout: float | None = None, flags: int = _POLLIN) -> int:
        """
        Wait until one of the events `flags` is there, for `timeout` milliseconds.

        Switch point.

        Returns:
            Those of the events that are there, 0 if the time is over.
        """
        from eventlet.greenthread import sleep

        end = None if timeout is None or timeout < 0 else _now() + timeout / 1000
        while True:
            events = self.getsockopt(_EVENTS) & flags
            if events or (end is not None and _now() >= end):
                return events
            sleep(_POLL_PAUSE)


# Seconds between two looks at a socket that is polled.
_POLL_PAUSE = 0.005


def _timed_out() -> Exception:
    error: Any = Again()
    error.is_timeout = True
    return error


def _now() -> float:
    from eventlet._patch.originals import original

    return original("time").monotonic()


def _ignore(*_args: Any) -> None:
    """Take a report of the hub: `close` has woken whoever waits."""
