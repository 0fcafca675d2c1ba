"""
Say what keeps the hub from working, while it does.

A green thread that computes, or calls something that blocks, stops all others
of its OS thread. Each switch is noted with its time; an OS thread of our own
looks at these notes, and shows the stack of the one that is running for too
long. A coroutine of the hub's loop runs in the hub's greenlet, without switches:
where the newest frame there is none of a loop's, the loop is asked to answer,
and too late an answer counts.

No signal is used. The watching thread needs the GIL: native code that keeps it
throughout is told of afterwards, without a stack, with the line that ended it.
"""

from __future__ import annotations

import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

from eventlet_asyncio.migration import _tracing
from eventlet_asyncio.migration._frames import is_engine, is_loop, site_of
from eventlet_asyncio.migration._runtime import hub_of_this_thread, native

if TYPE_CHECKING:
    from collections.abc import Callable


class _Thread:
    """What is noted of an OS thread."""

    __slots__ = ("answered", "asked", "entered", "hub", "in_hub", "told")

    def __init__(self, hub: Any) -> None:
        self.hub = hub
        self.entered = time.perf_counter()
        self.in_hub = False
        self.told = False
        self.asked: float | None = None
        self.answered = True


class BlockingTrace:
    """
    Tells of green threads and coroutines that run for too long without a switch.

    Args:
        seconds: How long is too long.
        tell: Called with a text, from the watching thread or the blocked one.
    """

    def __init__(self, seconds: float, tell: Callable[[str], object]) -> None:
        self.seconds = seconds
        self.count = 0
        self.longest = 0.0
        self._tell = tell
        self._threads: dict[int, _Thread] = {}
        real = native("threading")
        self._get_ident = real.get_ident
        self._end = real.Event()
        self._watcher = real.Thread(
            target=self._watch, name="eventlet-asyncio trace-blocking", daemon=True
        )

    def start(self) -> None:
        """Begin to watch."""
        _tracing.add(self._switched)
        self._watcher.start()

    def stop(self) -> None:
        """End it."""
        _tracing.remove(self._switched)
        self._end.set()

    def _switched(self, origin: Any, target: Any) -> None:
        now = time.perf_counter()
        ident = self._get_ident()
        thread = self._threads.get(ident)
        if thread is None:
            hub = hub_of_this_thread()
            if hub is None:
                return
            thread = self._threads[ident] = _Thread(hub)
            # The time before is start-up, which is nobody's.
            thread.entered = now
        if not thread.in_hub:
            lasted = now - thread.entered
            if lasted >= self.seconds:
                self._ended(lasted, thread.told, origin)
        thread.in_hub = target is thread.hub.greenlet
        thread.entered = now
        thread.told = False
        thread.asked = None

    def _ended(self, lasted: float, told: bool, origin: Any) -> None:  # noqa: FBT001
        self.longest = max(self.longest, lasted)
        if told:
            self._tell(f"the green thread above gave way after {lasted * 1000:.0f} ms")
            return
        self.count += 1
        place = None if origin.dead else site_of(origin.gr_frame)
        where = f"{place.path}:{place.line} in {place.function}" if place else "its end"
        self._tell(
            f"a green thread ran for {lasted * 1000:.0f} ms without a switch, until "
            f"{where}; it kept the GIL, so its stack was not seen"
        )

    def _watch(self) -> None:
        while not self._end.wait(self.seconds / 4):
            frames = sys._current_frames()
            for ident, thread in list(self._threads.items()):
                frame = frames.get(ident)
                if frame is None:
                    del self._threads[ident]
                elif not thread.told:
                    self._look(thread, frame)
            del frames

    def _look(self, thread: _Thread, frame: Any) -> None:
        """Decide whether what a thread is running is late."""
        now = time.perf_counter()
        since = thread.entered
        if thread.in_hub:
            if is_loop(frame) or is_engine(frame):
                # It waits, or it is about to go on.
                thread.asked = None
                return
            if thread.asked is None or thread.answered:
                self._ask(thread, now)
                return
            since = thread.asked
        if now - since < self.seconds:
            return
        if thread.in_hub:
            # Told once: the next time is after an answer.
            thread.asked = float("inf")
        else:
            thread.told = True
        self.count += 1
        self.longest = max(self.longest, now - since)
        what = "a coroutine or callback" if thread.in_hub else "a green thread"
        stack = "".join(_stack(frame)).rstrip()
        self._tell(
            f"{what} has been running for {(now - since) * 1000:.0f} ms "
            f"without a switch:\n{stack}"
        )

    def _ask(self, thread: _Thread, now: float) -> None:
        loop = getattr(thread.hub, "loop", None)
        if loop is None:
            return

        def answer() -> None:
            thread.answered = True

        thread.answered = False
        thread.asked = now
        try:
            loop.call_soon_threadsafe(answer)
        except RuntimeError:
            # Closed: nobody waits for it.
            thread.asked = None


def _stack(frame: Any) -> list[str]:
    """Format a stack from the program's first frame on."""
    frames = list(traceback.walk_stack(frame))
    own = [
        number
        for number, (each, _) in enumerate(frames)
        if each.f_globals.get("__name__") == "eventlet_asyncio.cli.run"
    ]
    if own:
        del frames[own[0] :]
    frames.reverse()
    return traceback.StackSummary.extract(iter(frames)).format()
