"""
What is mended in upstream so that it can be compared with.

See the entries ``killers-timer`` and ``order-of-waiters`` of `known`.
"""

from __future__ import annotations

import functools

from known import is_excused

import eventlet
from eventlet import event, greenthread, queue
from eventlet.hubs import hub
from greenlet import getcurrent


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
    if is_excused("killers-timer"):
        _mend_kill()
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


def _mend_kill():
    """Cancel what a killer has scheduled to come back, once it is back."""
    kill, schedule = greenthread.kill, hub.BaseHub.schedule_call_global
    returns = {}

    def note(self, seconds, callback, *args, **kwargs):
        timer = schedule(self, seconds, callback, *args, **kwargs)
        current = getcurrent()
        if current in returns and callback == current.switch:
            returns[current].append(timer)
        return timer

    def mended(green, *throw_args):
        current = getcurrent()
        outer = returns.get(current)
        timers = returns[current] = []
        try:
            return kill(green, *throw_args)
        finally:
            for timer in timers:
                timer.cancel()
            if outer is None:
                del returns[current]
            else:
                returns[current] = outer

    hub.BaseHub.schedule_call_global = note
    greenthread.kill = eventlet.kill = mended
