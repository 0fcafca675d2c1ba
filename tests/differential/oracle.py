"""
What is mended in upstream so that it can be compared with.

See the entries of `known` that say so.
"""

from __future__ import annotations

import functools
import traceback

from known import is_excused

import eventlet
from eventlet import dagpool, event, greenpool, greenthread, hubs, queue
from eventlet.hubs import hub
from greenlet import GreenletExit, getcurrent


class OrderedSet(dict):
    """A set that gives its members in order of their addition."""

    def add(self, member):
        """Add a member, at the end if it is new."""
        self.setdefault(member)

    def discard(self, member):
        """Remove a member if it is one."""
        super().pop(member, None)

    def remove(self, member):
        """Remove a member."""
        del self[member]

    def pop(self):
        """Take the oldest member out."""
        member = next(iter(self))
        del self[member]
        return member


def mend() -> None:
    """Change the upstream that was imported."""
    places = []
    if is_excused("killers-timer"):
        places += [(greenthread, "kill"), (eventlet, "kill")]
    if is_excused("waits-timer"):
        places += [(event.Event, "wait")]
    _cancel_what_returns(*places)
    if is_excused("dag-kill"):
        dagpool.DAGPool.kill = _kill_once
    if is_excused("inline-spawn"):
        greenpool.GreenPool._spawn_n_impl = _run_detached
    if is_excused("inline-thread"):
        _mend_inline_threads()
    if is_excused("pool-waiting"):
        greenpool.GreenPool.waiting = lambda self: len(self.sem._waiters)
    if is_excused("order-of-waiters"):
        _add_to_init(event.Event, "_waiters")
        _add_to_init(queue.LightQueue, "getters", "putters")


def _add_to_init(cls, *names):
    init = cls.__init__

    @functools.wraps(init)
    def initialise(self, *args, **kwargs):
        init(self, *args, **kwargs)
        for name in names:
            setattr(self, name, OrderedSet())

    cls.__init__ = initialise


def _cancel_what_returns(*places):
    """
    Have functions cancel what they have scheduled to come back, once they are back.

    Args:
        places: Pairs of an object and the name of its function.
    """
    returns = {}

    def noting(schedule):
        def note(self, seconds, callback, *args, **kwargs):
            timer = schedule(self, seconds, callback, *args, **kwargs)
            current = getcurrent()
            resumes = (getattr(callback, "__self__", None), *args)
            if current in returns and current in resumes:
                returns[current].append(timer)
            return timer

        return note

    def mended(function):
        @functools.wraps(function)
        def call(*args, **kwargs):
            current = getcurrent()
            outer = returns.get(current)
            timers = returns[current] = []
            try:
                return function(*args, **kwargs)
            finally:
                for timer in timers:
                    timer.cancel()
                if outer is None:
                    del returns[current]
                else:
                    returns[current] = outer

        return call

    for name in ("schedule_call_global", "schedule_call_local"):
        setattr(hub.BaseHub, name, noting(getattr(hub.BaseHub, name)))
    for where, name in places:
        setattr(where, name, mended(getattr(where, name)))


def _kill_once(self, key):
    self.coros[key].greenthread.kill()
    self.coros.pop(key, None)


def _run_detached(self, function, args, kwargs, coro):
    try:
        function(*args, **kwargs)
    except Exception:
        traceback.print_exc()
    except (KeyboardInterrupt, SystemExit, GreenletExit):
        raise
    except BaseException:
        if coro is None:
            raise
        traceback.print_exc()
    finally:
        if coro is not None:
            self._spawn_done(getcurrent())


def _mend_inline_threads():
    spawn = greenpool.GreenPool.spawn

    @functools.wraps(spawn)
    def mended(self, *args, **kwargs):
        green = spawn(self, *args, **kwargs)
        if green not in self.coroutines_running and not green and not green.dead:
            green.parent = hubs.get_hub().greenlet
        return green

    greenpool.GreenPool.spawn = mended
