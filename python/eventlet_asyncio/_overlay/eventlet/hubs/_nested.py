"""
Event loops that green code runs: where they would sleep, only their green thread waits.

A loop with a selector, as asyncio's own, gets another one for the time of the run:
it parks the green thread on the selector's descriptor.
uvloop sleeps in libuv, which tells before it does so;
the green thread parks there, on the loop's own descriptor.

A loop that offers neither sleeps with the whole OS thread.
While green code runs such a loop, it runs the hub's turns as well,
and tasks of the hub's own loop stand still.
"""

from __future__ import annotations

import errno
import signal
import sys
import time
from selectors import EVENT_READ, EVENT_WRITE
from typing import TYPE_CHECKING, Any

from eventlet._patch.originals import original
from eventlet.hubs import _wakeups
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType

    Run = Callable[[Any], None]

#: Seconds for which a busy loop may keep other green threads waiting.
SLICE = 0.0005
#: Seconds between two looks at a selector that has no descriptor to wait for.
INTERVAL = 0.005
#: Methods by which code that does not run on the loop gives it something to do.
WAKING = ("call_soon", "call_later", "call_at", "stop")


#: Runs in progress, of all OS threads.
_runs: set[_Waits] = set()


def run(event_loop: Any, run_forever: Run) -> None:
    """Run a loop whose selector parks the green thread instead of sleeping."""
    selector = getattr(event_loop, "_selector", None)
    if selector is None:
        _run_lent(event_loop, run_forever)
        return
    parking = event_loop._selector = _ParkingSelector(event_loop, selector)
    try:
        parking.run(run_forever)
    finally:
        event_loop._selector = selector


def uvloop_runner(uvloop: ModuleType) -> Callable[[Any, Run], None]:
    """Return what runs a loop of uvloop in green code."""

    def run_uvloop(event_loop: Any, run_forever: Run) -> None:
        if event_loop.is_closed() or event_loop.is_running():
            run_forever(event_loop)  # which raises
            return
        try:
            pointer = uvloop.loop.libuv_get_loop_t_ptr(event_loop)
            pause = _Pause(event_loop)
            guest = _core._UvGuest(pointer, uvloop.loop.__file__, pause)
        except (AttributeError, OSError):
            # A build that hides libuv.
            _run_lent(event_loop, run_forever)
            return
        pause.guest = guest
        pause.descriptor = guest.descriptor
        try:
            pause.run(run_forever)
        finally:
            guest.end()

    return run_uvloop


def renew_loop(event_loop: Any) -> bool:
    """
    Give a loop, which goes on in a forked child, a poller of its own that watches nothing.

    Its connections are the parent's.
    False if the loop is not of a kind that can be given one.
    """
    uvloop = sys.modules.get("uvloop")
    if uvloop is not None and isinstance(event_loop, uvloop.Loop):
        return _renew_uvloop(uvloop, event_loop)
    selector = _epoll_selector(event_loop)
    if selector is None:
        return False
    keys = selector._fd_to_key
    own = event_loop._ssock.fileno()
    for fd in [fd for fd in keys if fd != own]:
        del keys[fd]
    _renew(event_loop, selector, keys.values())
    event_loop._transports.clear()
    event_loop._asyncgens.clear()
    event_loop._default_executor = None
    return True


#: Pollers whose numbers may name other files by now, which their end would close.
_lost: list[Any] = []


def mend_loop(event_loop: Any, former: int) -> bool:
    """
    Give a loop, whose descriptors were closed behind its back, a poller and a pipe.

    What it watched and is open still it goes on to watch, but for the number ``former``.
    False if the loop is not of a kind that can be given one.
    """
    selector = _epoll_selector(event_loop)
    if selector is None:
        return False
    select: Any = original("select")
    keys = selector._fd_to_key
    _lost.append(selector._selector)
    selector._selector = select.epoll()
    keys.pop(former, None)
    ends = original("socket").socketpair()
    for name, new in zip(("_ssock", "_csock"), ends, strict=True):
        new.setblocking(False)
        end = getattr(event_loop, name)
        setattr(event_loop, name, new)
        keys.pop(end.detach(), None)
    if event_loop._signal_handlers:
        signal.set_wakeup_fd(event_loop._csock.fileno())
    for fd in _register(selector._selector, keys.values()):
        del keys[fd]
    event_loop._add_reader(event_loop._ssock.fileno(), event_loop._read_from_self)
    return True


def mend_runs() -> None:
    """Mend the loops that green code of this OS thread runs."""
    me = _ident()
    for waits in _runs:
        if waits.thread == me:
            waits.mend()
            waits.look_again()


def _epoll_selector(event_loop: Any) -> Any:
    """Return asyncio's own selector of a loop, if that is one with epoll, else None."""
    selector = getattr(event_loop, "_selector", None)
    selector = getattr(selector, "_own", selector)
    keys = getattr(selector, "_fd_to_key", None)
    # By name: asyncio's may come from a copy of the module.
    if type(selector).__name__ != "EpollSelector" or not isinstance(keys, dict):
        return None
    return selector


def _register(poller: Any, keys: Iterable[Any]) -> list[int]:
    """Have a poller watch what a selector knows of; return the numbers that are closed."""
    select: Any = original("select")
    closed = []
    for key in keys:
        events = select.EPOLLIN if key.events & EVENT_READ else 0
        events |= select.EPOLLOUT if key.events & EVENT_WRITE else 0
        try:
            poller.register(key.fd, events)
        except OSError:
            closed.append(key.fd)
    return closed


def _renew_uvloop(uvloop: ModuleType, event_loop: Any) -> bool:
    try:
        pointer = uvloop.loop.libuv_get_loop_t_ptr(event_loop)
        _core._uv_renew(pointer, uvloop.loop.__file__)
    except (AttributeError, OSError):
        # A build that hides libuv.
        return False
    event_loop.set_default_executor(None)
    return True


def _renew(event_loop: Any, selector: Any, keys: Iterable[Any]) -> None:
    """Put new files behind the numbers of a selector's poller and of a loop's pipe."""
    os: Any = original("os")
    select: Any = original("select")
    ends: list[Any] = [getattr(event_loop, end, None) for end in ("_ssock", "_csock")]
    if None not in ends:
        for end, new in zip(ends, original("socket").socketpair(), strict=True):
            new.setblocking(False)
            os.dup2(new.fileno(), end.fileno(), inheritable=False)
            new.close()
    poller: Any = getattr(selector, "_selector", None)
    kind: Any = getattr(select, "epoll", ())
    if not isinstance(poller, kind):
        return
    fresh = select.epoll()
    _register(fresh, keys)
    os.dup2(fresh.fileno(), poller.fileno(), inheritable=False)
    fresh.close()


def before_hub_in_child() -> None:
    """
    Give the loops of green code, which go on in a forked child, pollers of their own.

    Called before the hub gets its own, since that watches theirs.
    Loops that other OS threads run are not there any more.
    """
    _wakeups.renew()
    me = _ident()
    for waits in list(_runs):
        if waits.thread == me:
            waits.renew()
        else:
            _runs.discard(waits)


def after_hub_in_child() -> None:
    """Have the loops look at their pollers again."""
    for waits in _runs:
        waits.look_again()


def _ident() -> int:
    return original("_thread").get_ident()  # type: ignore[no-any-return]


def _run_lent(event_loop: Any, run_forever: Run) -> None:
    """Run a loop that sleeps with the whole OS thread: it runs the hub's turns, too."""
    _core._lend()
    try:
        run_forever(event_loop)
    finally:
        _core._take_back()


class _Waits:
    """Waits of a loop that green code runs, with the loop set aside meanwhile."""

    #: Readable when the loop has something to do.
    descriptor: int | None = None
    #: Whether the loop puts a descriptor for signals in place whenever it runs.
    _sets_wakeup = False

    def __init__(self, event_loop: Any) -> None:
        self._event_loop = event_loop
        self.thread = _ident()
        self._parked: Any = None
        self._outer_hooks = sys.get_asyncgen_hooks()
        self._wakeup = _wakeups.Share(event_loop, always=self._sets_wakeup)

    def run(self, run_forever: Run) -> None:
        """Run the loop, marked as one in whose callbacks green code must not block."""
        marked = _core._mark_in_loop(True)
        self._wakeup.begin()
        _runs.add(self)
        try:
            run_forever(self._event_loop)
        finally:
            _runs.discard(self)
            self._wakeup.end()
            _core._mark_in_loop(marked)

    def renew(self) -> None:
        """Stop sharing a poller with the parent process."""

    def mend(self) -> None:
        """Get another poller: the program may have closed all descriptors."""

    def look_again(self) -> None:
        """Have the loop go on, if it waits, and see what there is to do."""
        if self._parked is not None:
            hub: Any = _core._existing_hub()
            hub.schedule_call_global(0, self._parked.switch)

    def _yield(self) -> None:
        """Let others run."""
        self._outside(_core._loop_waits)

    def _park(self, timeout: float | None) -> None:
        """
        Park until the descriptor is readable, or other green code wakes the loop.

        A loop is woken from other OS threads only; a callback scheduled in the
        loop's own thread finds it awake. Here it may sleep, so it is told.
        """
        event_loop = self._event_loop
        for name in WAKING:
            setattr(event_loop, name, self._waking(name))
        self._parked = _core.getcurrent()
        try:
            if self.descriptor is None:
                timeout = INTERVAL if timeout is None else min(timeout, INTERVAL)
            self._outside(_core._loop_waits, self.descriptor, timeout)
        except OSError as error:
            if error.errno not in (errno.EBADF, errno.EINVAL):
                raise
            self.mend()
        finally:
            self._parked = None
            for name in WAKING:
                event_loop.__dict__.pop(name, None)

    def _waking(self, name: str) -> Callable[..., Any]:
        """Return the loop's method, with a wake-up after the call."""
        event_loop = self._event_loop
        method = getattr(event_loop, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            result = method(*args, **kwargs)
            self._wake()
            return result

        return call

    def _wake(self) -> None:
        """Make the descriptor readable."""
        self._event_loop._write_to_self()

    def _outside(self, wait: Callable[..., None], *args: Any) -> None:
        """Wait with the hooks of the code beneath, which other loops rely on."""
        hooks = sys.get_asyncgen_hooks()
        sys.set_asyncgen_hooks(*self._outer_hooks)
        self._wakeup.leave()
        try:
            wait(*args)
        finally:
            self._wakeup.come_back()
            sys.set_asyncgen_hooks(*hooks)


class _ParkingSelector(_Waits):
    """The selector of a loop that green code runs: ``select`` lets others run meanwhile."""

    def __init__(self, event_loop: Any, selector: Any) -> None:
        super().__init__(event_loop)
        self._selector = selector
        self._until = time.monotonic() + SLICE
        number = getattr(selector, "fileno", lambda: None)()
        # Some selectors have none, and those of tests are not always real.
        if isinstance(number, int):
            self.descriptor = number

    @property
    def _own(self) -> Any:
        """Asyncio's own selector, which may have been replaced by the hub's before."""
        return getattr(self._selector, "_own", self._selector)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the selector's own."""
        return getattr(self._selector, name)

    def renew(self) -> None:
        """Put new files behind the numbers of the poller and of the loop's pipe."""
        _renew(self._event_loop, self._selector, self._selector.get_map().values())

    def select(self, timeout: float | None = None) -> Any:
        """Return what is ready, after at most ``timeout`` seconds. A switch point."""
        if timeout is None or timeout > 0:
            found = self._poll()
            if not found:
                self._park(timeout)
                self._until = time.monotonic() + SLICE
                return self._poll()
            if time.monotonic() < self._until:
                return found
        elif time.monotonic() < self._until:
            return self._poll()
        self._yield()
        self._until = time.monotonic() + SLICE
        return self._poll()

    def mend(self) -> None:
        """Watch what is open still, with another poller."""
        if mend_loop(self._event_loop, -1):
            self.descriptor = self._selector.fileno()

    def _poll(self) -> Any:
        try:
            return self._selector.select(0)
        except OSError as error:
            # The program may have closed all descriptors.
            if error.errno not in (errno.EBADF, errno.EINVAL):
                raise
            self.mend()
            return self._selector.select(0)


class _Pause(_Waits):
    """Called by libuv where it would sleep."""

    _sets_wakeup = True
    guest: Any = None

    def renew(self) -> None:
        """Let libuv make itself a new poller."""
        self.guest.fork()
        self.descriptor = self.guest.descriptor

    def __call__(self, milliseconds: int) -> None:
        """Wait for that long; for ever if negative; 0 lets others run. A switch point."""
        if milliseconds == 0:
            self._yield()
        else:
            self._park(None if milliseconds < 0 else milliseconds / 1000)

    def _wake(self) -> None:
        # Not call_soon(), which is replaced meanwhile and would wake again.
        self._event_loop.call_soon_threadsafe(int)
