"""
The hub: the engine of one OS thread, as Python sees it.

The engine itself (who runs next, timers, descriptors) is native;
here is what upstream's public class offers beyond it.
A subclass that overrides :meth:`BaseHub.wait` is driven by that method
instead of the engine's own poll.
"""

from __future__ import annotations

import functools
import os
import signal
import sys
import traceback
from time import monotonic
from typing import TYPE_CHECKING, Any

from eventlet_asyncio._core import Hub as _NativeHub

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from eventlet.hubs.timer import Timer
    from eventlet_asyncio._core import Registration

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None]

__all__ = [
    "READ",
    "WRITE",
    "BaseHub",
    "DebugListener",
    "FdListener",
    "g_prevent_multiple_readers",
    "monotonic",
]

READ = "read"
WRITE = "write"

#: Whether new hubs refuse a second reader or writer of one descriptor.
g_prevent_multiple_readers = True


def noop(*args: object, **kwargs: object) -> None:
    """Do nothing."""


def closed_callback(fileno: int) -> None:
    """Stand for the callback of a listener whose descriptor was closed."""


def alarm_handler(signum: int, frame: FrameType | None) -> None:
    """Raise in whatever has kept the hub from running."""
    del signum
    traceback.print_stack(frame)
    message = "Blocking detector ALARMED"
    if frame is not None:
        code = frame.f_code
        message += f" at {code.co_filename}:{frame.f_lineno} in {code.co_name}"
    raise RuntimeError(message)


def arm_alarm(seconds: float) -> None:
    """Deliver SIGALRM after this many seconds; 0 withdraws it."""
    signal.setitimer(signal.ITIMER_REAL, seconds)


alarm_itimer = arm_alarm


class FdListener:
    """A callback that is called when a descriptor is ready."""

    def __init__(
        self,
        evtype: str,
        fileno: int,
        cb: Callable[[int], object],
        tb: Callable[..., object],
        mark_as_closed: Callable[[], object] | None,
    ) -> None:
        """Keep the callback ``cb`` and the error callback ``tb``."""
        if evtype not in (READ, WRITE):
            message = f"evtype must be {READ!r} or {WRITE!r}, not {evtype!r}"
            raise ValueError(message)
        self.evtype = evtype
        self.fileno = fileno
        self.cb = cb
        self.tb = tb
        self.mark_as_closed = mark_as_closed
        self.spent = False
        self.greenlet = getattr(cb, "__self__", None)
        self._registration: Registration | None = None

    def __repr__(self) -> str:
        """Show what is waited for."""
        kind = type(self).__name__
        return f"{kind}({self.evtype!r}, {self.fileno!r}, {self.cb!r}, {self.tb!r})"

    __str__ = __repr__

    def defang(self) -> None:
        """Make the listener harmless: its descriptor is gone."""
        self.cb = closed_callback
        if self.mark_as_closed is not None:
            self.mark_as_closed()
        self.spent = True


class DebugListener(FdListener):
    """A listener that remembers who made it."""

    def __init__(
        self,
        evtype: str,
        fileno: int,
        cb: Callable[[int], object],
        tb: Callable[..., object],
        mark_as_closed: Callable[[], object] | None,
    ) -> None:
        """Keep the callbacks, and the stack and greenlet of the caller."""
        import greenlet

        self.where_called = traceback.format_stack()
        super().__init__(evtype, fileno, cb, tb, mark_as_closed)
        self.greenlet = greenlet.getcurrent()

    def __repr__(self) -> str:
        """Show what is waited for, and where the wait began."""
        where = "".join(self.where_called)
        return f"{super().__repr__()} on greenlet {self.greenlet!r}\n{where}"

    __str__ = __repr__


class BaseHub(_NativeHub):
    """The engine of one OS thread; the base of every hub."""

    SYSTEM_EXCEPTIONS = (KeyboardInterrupt, SystemExit)
    READ = READ
    WRITE = WRITE

    #: What drives the engine: see ``eventlet_asyncio._core.Hub``.
    _driver = "poll"

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        """Open the hub for the running OS thread."""
        self.clock = monotonic if clock is None else clock
        self.listeners: dict[str, dict[int, FdListener]] = {READ: {}, WRITE: {}}
        self.secondaries: dict[str, dict[int, list[FdListener]]] = {READ: {}, WRITE: {}}
        self.lclass: type[FdListener] = FdListener
        self.debug_blocking = False
        self.debug_blocking_resolution = 1
        overridden = type(self).wait is not BaseHub.wait
        self._open("custom" if overridden else self._driver)
        self._one_reader = g_prevent_multiple_readers

    def get_timers_count(hub) -> int:
        """Return how many timers are scheduled."""
        return super().get_timers_count()

    # Descriptors

    def add(
        self,
        evtype: str,
        fileno: int,
        cb: Callable[[int], object],
        tb: Callable[..., object],
        mark_as_closed: Callable[[], object] | None = None,
    ) -> FdListener:
        """
        Call ``cb(fileno)`` on the hub's stack whenever the descriptor is ready.

        Raises:
            RuntimeError: For a second listener of one descriptor and direction,
                unless ``eventlet.debug.hub_prevent_multiple_readers(False)``.
            OSError: If the descriptor cannot be watched.
        """
        listener = self.lclass(evtype, fileno, cb, tb, mark_as_closed)
        bucket = self.listeners[evtype]
        if fileno in bucket:
            if self._one_reader:
                message = (
                    f"Second simultaneous {evtype} on fileno {fileno} detected. "
                    "Unless you really know what you're doing, make sure that only "
                    f"one green thread can {evtype} any particular socket: use a "
                    "pools.Pool. If you do know, call "
                    "eventlet.debug.hub_prevent_multiple_readers(False). "
                    f"The first is {bucket[fileno]!r}, the second {listener!r}"
                )
                raise RuntimeError(message)
            self.secondaries[evtype].setdefault(fileno, []).append(listener)
        else:
            bucket[fileno] = listener
        self._watch(listener)
        return listener

    def _watch(self, listener: FdListener) -> None:
        """Have the engine call the listener."""
        if type(self).wait is BaseHub.wait:
            listener._registration = self._listen(
                listener.fileno,
                listener.evtype == WRITE,
                functools.partial(self._ready, listener),
            )

    def _ready(self, listener: FdListener) -> None:
        """Call a listener's callback; its error goes the way upstream's does."""
        if listener.spent or listener._registration is None:
            # Withdrawn by what ran after the poll that found it ready.
            return
        try:
            listener.cb(listener.fileno)
        except self.SYSTEM_EXCEPTIONS:
            raise
        except BaseException:
            if self._closed:
                # It ends the hub, which was suspended in this call.
                raise
            self.squelch_exception(listener.fileno, sys.exc_info())

    def remove(self, listener: FdListener) -> None:
        """Withdraw a listener; one that is not registered is ignored."""
        registration = listener._registration
        if registration is not None:
            listener._registration = None
            self._unlisten(registration)
        if listener.spent:
            return
        fileno, evtype = listener.fileno, listener.evtype
        others = self.secondaries[evtype].get(fileno)
        if self.listeners[evtype].get(fileno) is listener:
            del self.listeners[evtype][fileno]
            if others:
                self.listeners[evtype][fileno] = others.pop(0)
        elif others and listener in others:
            others.remove(listener)
        if others is not None and not others:
            self.secondaries[evtype].pop(fileno, None)

    def _gone(self, fileno: int) -> list[FdListener]:
        """Forget the listeners of a descriptor; return them."""
        found: list[FdListener] = []
        for evtype in (READ, WRITE):
            first = self.listeners[evtype].pop(fileno, None)
            if first is not None:
                found.append(first)
            found.extend(self.secondaries[evtype].pop(fileno, []))
        return found

    def mark_as_reopened(self, fileno: int) -> None:
        """
        Drop what is known of a descriptor number that names a new file now.

        Whoever waits for the old file is woken with an error.
        """
        self._forget_descriptor(fileno)

    def notify_close(self, fileno: int) -> None:
        """Wake whoever waits for a descriptor that is about to be closed."""
        self._forget_descriptor(fileno)

    def _forget_descriptor(self, fileno: int) -> None:
        """Forget a descriptor, and wake whoever waits for it with an error."""
        for listener in self._gone(fileno):
            listener.defang()
            self._wake_listener(listener)
        self._close_descriptor(fileno)

    def _close_from_elsewhere(self, fileno: int) -> None:
        """Forget a descriptor that another OS thread closes; tell its listeners."""
        found = self._gone(fileno)

        def tell() -> None:
            for listener in found:
                listener.defang()
                self._wake_listener(listener)

        if found:
            self._call_soon(tell)

    def close_one(self) -> None:
        """Do nothing: whoever waits for a closed descriptor is woken at once."""

    def remove_descriptor(self, fileno: int) -> None:
        """Call all listeners of a descriptor a last time, and forget them."""
        for listener in self._gone(fileno):
            try:
                listener.cb(fileno)
            except Exception:
                self.squelch_generic_exception(sys.exc_info())
        self._close_descriptor(fileno)

    def _wake_listener(self, listener: FdListener) -> None:
        """Tell the error callback of a listener that its descriptor is gone."""
        from eventlet.hubs import IOClosed

        reason = IOClosed(
            9, "the descriptor was closed while a green thread waited for it"
        )
        self._call_soon(functools.partial(listener.tb, reason))

    def get_readers(self) -> list[FdListener]:
        """Return a listener for each green thread or callback that waits to read."""
        return self._listeners_of(READ)

    def get_writers(self) -> list[FdListener]:
        """Return a listener for each green thread or callback that waits to write."""
        return self._listeners_of(WRITE)

    def _listeners_of(self, evtype: str) -> list[FdListener]:
        found = list(self.listeners[evtype].values())
        for fileno, write, waiter in self._waiting():
            switch = getattr(waiter, "switch", None)
            if write == (evtype == WRITE) and switch is not None:
                listener = self.lclass(evtype, fileno, switch, waiter.throw, None)
                if isinstance(listener, DebugListener):
                    # Who waits in the engine is where it began to wait.
                    listener.where_called = traceback.format_stack(waiter.gr_frame)
                    listener.greenlet = waiter
                found.append(listener)
        return found

    def _writers_look_again(self, fileno: int) -> None:
        """
        Have who waits to write to a descriptor repeat the system call.

        For news of which the system tells only those that wait in the call itself.
        """

        def resume() -> None:
            served: set[int] = set()
            while True:
                for listener in self._listeners_of(WRITE):
                    if (
                        listener.fileno == fileno
                        and id(listener.greenlet) not in served
                    ):
                        break
                else:
                    return
                served.add(id(listener.greenlet))
                listener.cb(fileno)

        self._call_soon(resume)

    # Timers

    def add_timer(self, timer: Timer) -> None:
        """Have the engine call ``timer()`` at its ``scheduled_time``."""
        delay = timer.seconds
        if self.clock is not monotonic and timer.scheduled_time is not None:
            delay = timer.scheduled_time - self.clock()
        fire = functools.partial(self._fire, timer)
        if delay > 0:
            timer._handle = self._add_timer(delay, fire)
        else:
            # Due already: it takes its turn behind what is ready now, and before
            # what becomes ready later. Cancelled, it does nothing.
            self._call_soon(fire)

    def _fire(self, timer: Timer) -> None:
        """Make a timer's call; its error goes the way upstream's does."""
        if self.debug_blocking:
            self.block_detect_pre()
        try:
            timer()
        except self.SYSTEM_EXCEPTIONS:
            raise
        except BaseException:
            if self._closed:
                # As for a listener's callback.
                raise
            self.squelch_timer_exception(timer, sys.exc_info())
        finally:
            if self.debug_blocking:
                self.block_detect_post()

    def timer_canceled(self, timer: Timer) -> None:
        """Withdraw a timer, as :meth:`Timer.cancel` does."""
        timer.cancel()

    def prepare_timers(self) -> None:
        """Do nothing: timers are in the engine's heap at once."""

    def fire_timers(self, when: float) -> None:
        """Do nothing: the engine fires timers in its turns."""

    @property
    def timers(self) -> list[tuple[float, object]]:
        """Pending timers, as (time, what is called or woken)."""
        pending = [(deadline, what) for deadline, what, _made in self._timers()]
        return sorted(pending, key=lambda entry: entry[0])

    @property
    def next_timers(self) -> list[tuple[float, object]]:
        """Timers not in the heap yet: none."""
        return []

    def sleep_until(self) -> float | None:
        """Return the time of the next timer, or None."""
        pending = self.timers
        return pending[0][0] if pending else None

    def default_sleep(self) -> float:
        """Return how long the hub sleeps at most, in seconds."""
        return 60.0

    def schedule_call_local(
        self, seconds: float, cb: Callable[..., object], *args: Any, **kw: Any
    ) -> Timer:
        """Call ``cb`` after ``seconds``, unless the running greenlet ends before."""
        from eventlet.hubs.timer import LocalTimer

        return LocalTimer(seconds, cb, *args, **kw)._schedule_on(self)

    def schedule_call_global(
        self, seconds: float, cb: Callable[..., object], *args: Any, **kw: Any
    ) -> Timer:
        """Call ``cb`` after ``seconds``, in this hub's OS thread, whoever asks."""
        from eventlet.hubs.timer import Timer

        return Timer(seconds, cb, *args, **kw)._schedule_on(self)

    # What goes wrong

    def squelch_generic_exception(self, exc_info: ExcInfo | tuple[Any, ...]) -> None:
        """Print an exception that nobody takes, if the hub prints exceptions."""
        if self.debug_exceptions:
            traceback.print_exception(*exc_info)
            sys.stderr.flush()

    def squelch_timer_exception(
        self, timer: Timer, exc_info: ExcInfo | tuple[Any, ...]
    ) -> None:
        """Print an exception that a timer's callback raised."""
        del timer
        self.squelch_generic_exception(exc_info)

    def squelch_exception(
        self, fileno: int, exc_info: ExcInfo | tuple[Any, ...]
    ) -> None:
        """Print an exception that a listener's callback raised, and drop the listener."""
        self.squelch_generic_exception(exc_info)
        self.remove_descriptor(fileno)

    # Debugging

    def set_debug_listeners(self, value: bool) -> None:
        """Choose whether new listeners remember who made them."""
        self.lclass = DebugListener if value else FdListener

    def set_timer_exceptions(self, value: bool) -> None:
        """Choose whether exceptions of callbacks are printed."""
        self.debug_exceptions = value

    def block_detect_pre(self) -> None:
        """Arm the blocking detector before something runs."""
        former = signal.signal(signal.SIGALRM, alarm_handler)
        if former is not alarm_handler:
            self._old_signal_handler = former
        arm_alarm(self.debug_blocking_resolution)

    def block_detect_post(self) -> None:
        """Disarm the blocking detector."""
        former = getattr(self, "_old_signal_handler", None)
        if former is not None:
            signal.signal(signal.SIGALRM, former)
        arm_alarm(0)

    # The loop

    def wait(self, seconds: float | None = None) -> None:
        """
        Wait for descriptors for at most ``seconds``.

        For subclasses: one that overrides it drives the engine.
        """
        self._poll(self.default_sleep() if seconds is None else seconds)

    def close(self) -> None:
        """Give up what the hub has open. It cannot be used afterwards."""
        self._close()


def hub_name() -> str:
    """Return the name of the hub that the environment asks for."""
    return os.environ.get("EVENTLET_HUB", "asyncio")
