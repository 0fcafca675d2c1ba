"""
Time that does not wait: where everybody sleeps, it is the next deadline's at once.

Both sides run on it, so that no deadline is missed since a machine is busy, and two that
are close to each other are as far apart as any. Jobs in OS threads sleep by it too.
"""

from __future__ import annotations

import _thread
import asyncio
import contextlib
import functools
import heapq
import itertools
import select
import selectors
import sys
import time

# As they are before anything is patched.
_real, _allocate_lock, _get_ident, _poll = (
    time.monotonic,
    _thread.allocate_lock,
    _thread.get_ident,
    select.poll,
)
#: Real seconds for which a hub waits for what OS threads do, before it looks again.
_GLANCE = 0.0005
#: Real seconds that the result of a job may take to arrive.
_ARRIVAL = 0.002
#: How far the oracle's clock goes on each time that it is read, in seconds.
_TICK = 1e-9


class RealTime:
    """The time of everybody."""

    sleep = staticmethod(time.sleep)

    @contextlib.contextmanager
    def job(self, job):
        """Give a job as it is."""
        yield job


def _pollable(loop):
    """Return a poll of what an event loop waits for: its epoll is a descriptor, too."""
    poll = _poll()
    poll.register(loop._selector.fileno(), select.POLLIN)
    return poll


class VirtualTime:
    """The time of a process."""

    def __init__(self):
        self.now = _real()
        self._lock = _allocate_lock()
        self._number = itertools.count()
        self._sleepers = []
        self._running = 0
        self._settled_at = 0.0

    def monotonic(self):
        """Return the time, in seconds."""
        return self.now

    @contextlib.contextmanager
    def job(self, job):
        """
        Have an OS thread do a job in a block that waits for it: ``with clock.job(f) as g``.

        Time stands until `g`, which is to be given to the thread, sleeps or has ended, or
        until the block is over and `g` has not begun.
        """
        with self._lock:
            self._running += 1
        waiting = [True]

        def run():
            try:
                waiting.pop()
            except IndexError:
                with self._lock:
                    self._running += 1
            try:
                return job()
            finally:
                self._end()

        try:
            yield run
        finally:
            # Nobody may have begun, and nobody may ever.
            if waiting and waiting.pop():
                self._end()

    def _end(self):
        with self._lock:
            self._running -= 1
            self._settled_at = _real() + _ARRIVAL

    def sleep(self, seconds):
        """Sleep in a job."""
        woken = _allocate_lock()
        woken.acquire()
        with self._lock:
            due = self.now + (seconds or 0)
            heapq.heappush(self._sleepers, (due, next(self._number), woken))
            self._running -= 1
        woken.acquire()

    def ahead(self, seconds):
        """
        Let time pass instead of sleeping for `seconds`, None for no end.

        Returns:
            The real seconds to wait instead, since OS threads are at work; None for
            no end; 0 if time has passed.
        """
        with self._lock:
            if self._running or _real() < self._settled_at:
                return _GLANCE
            until = [] if seconds is None else [self.now + seconds]
            if self._sleepers:
                until.append(self._sleepers[0][0])
            if not until:
                return None
            self.now = max(self.now, min(until))
            while self._sleepers and self._sleepers[0][0] <= self.now:
                heapq.heappop(self._sleepers)[2].release()
                self._running += 1
        return 0

    def install(self, side):
        """
        Put it in the place of the real one, for all modules and for what sleeps.

        Args:
            side: ``ours``, ``upstream`` or, for a process without Eventlet, ``asyncio``.
        """
        replaced = id(time.monotonic)
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", {})
            if names is not globals():
                for name in [n for n, value in names.items() if id(value) == replaced]:
                    names[name] = self.monotonic
        if side == "asyncio":
            self._install_selector()
            return
        from eventlet import hubs

        hub = hubs.get_hub()
        if side == "ours":
            self._install_here(hub)
        else:
            self._install_upstream(hub)

    def _install_here(self, hub):
        from eventlet_asyncio import _core

        hub.clock = self.monotonic
        owner = _get_ident()
        loops = {hub.loop: _pollable(hub.loop)}

        def before_sleep(seconds):
            if _get_ident() != owner:
                # The hub of another OS thread.
                return _GLANCE
            running = asyncio._get_running_loop()
            polled = loops.get(running or hub.loop) or _pollable(running)
            if polled.poll(0):
                # What has come meanwhile comes first.
                return 0.0
            real = self.ahead(seconds)
            _core._set_time(self.now)
            return real

        _core._set_time(self.now)
        _core._set_idle_hook(before_sleep)

    def _look(self, poll, seconds):
        """Return what a poll finds, that of a process without our engine."""
        while True:
            found = poll(0)
            if found or (seconds is not None and seconds <= 0):
                return found
            real = self.ahead(seconds)
            if real == 0:
                return []
            time.sleep(_GLANCE)

    def _install_selector(self):
        cls = selectors.DefaultSelector
        select = cls.select

        def select_virtually(selector, timeout=None):
            return self._look(functools.partial(select, selector), timeout)

        cls.select = select_virtually

    def _install_upstream(self, hub):
        # Upstream puts timers of one moment in the order of their addresses, and counts on
        # a clock that never shows a moment twice.
        def ticking():
            self.now += _TICK
            return self.now

        hub.clock = ticking

        def do_poll(seconds):
            return self._look(hub.poll.poll, seconds)

        wait = hub.wait

        def wait_without(seconds=None):
            if any(hub.listeners.values()):
                wait(seconds)
            elif seconds:
                while self.ahead(seconds):
                    time.sleep(_GLANCE)

        hub.do_poll = do_poll
        hub.wait = wait_without
