"""
Look into a running program, and make the hub say more.

Everything here is for development: some of it slows each switch or wait down,
and the texts are for reading, their form may change.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable
    from types import FrameType

__all__ = [
    "format_asyncio_info",
    "format_hub_listeners",
    "format_hub_timers",
    "format_threads_info",
    "hub_blocking_detection",
    "hub_exceptions",
    "hub_listener_stacks",
    "hub_prevent_multiple_readers",
    "hub_timer_stacks",
    "spew",
    "tpool_exceptions",
    "unspew",
]


class Spew:
    """
    A trace function that prints each line as it is run.

    Args:
        trace_names: Print lines of these modules only.
        show_values: Print the values of the variables named in the line too.
    """

    def __init__(
        self, trace_names: Collection[str] | None = None, show_values: bool = True
    ) -> None:
        self.trace_names = trace_names
        self.show_values = show_values

    def __call__(self, frame: FrameType, event: str, arg: Any) -> Spew:
        if event == "line":
            name, line = self._source(frame)
            if self.trace_names is None or name in self.trace_names:
                print(f"{name}:{frame.f_lineno}: {line}")  # noqa: T201 - its purpose
                if self.show_values:
                    self._print_values(frame, line)
        return self

    def _source(self, frame: FrameType) -> tuple[str, str]:
        """Return the name of the frame's module and the text of its line."""
        namespace = frame.f_globals
        if "__file__" not in namespace:
            return "[unknown]", f"VM instruction #{frame.f_lasti}"
        import linecache

        filename = namespace["__file__"]
        if filename.endswith((".pyc", ".pyo")):
            filename = filename[:-1]
        line = linecache.getline(filename, frame.f_lineno, namespace)
        return namespace["__name__"], line.rstrip()

    def _print_values(self, frame: FrameType, line: str) -> None:
        import re

        values = []
        for name in dict.fromkeys(re.findall(r"[^\W\d]\w*", line)):
            for scope in (frame.f_locals, frame.f_globals):
                if name in scope:
                    values.append(f"{name}={_safe_repr(scope[name])}")
                    break
        if values:
            print("\t" + " ".join(values))  # noqa: T201 - its purpose


def spew(trace_names: Collection[str] | None = None, show_values: bool = False) -> None:
    """
    Print each line of code from here on as it is run; see `Spew`.

    Traces the calling OS thread, in calls made after this one.
    """
    sys.settrace(Spew(trace_names, show_values))


def unspew() -> None:
    """Undo `spew`, or whatever else set a trace function."""
    sys.settrace(None)


def format_hub_listeners() -> str:
    """Describe who waits for which descriptor in the hub of this OS thread."""
    hub = _hub()
    return _lines(
        "READERS:",
        map(repr, hub.get_readers()),
        "WRITERS:",
        map(repr, hub.get_writers()),
    )


def format_hub_timers() -> str:
    """
    Describe the timers pending in the hub of this OS thread.

    After `hub_timer_stacks(True)` with the place where each was made, which for a
    green thread that sleeps, or waits with a limit, is where it waits.
    """
    described: list[str] = []
    for deadline, what, made in sorted(_hub()._timers(), key=lambda entry: entry[0]):
        described.append(repr((deadline, what)))
        described.extend((made or _waiting_at(what)).rstrip().splitlines())
    return _lines("TIMERS:", described)


def _waiting_at(what: Any) -> str:
    """Describe where a green thread that a timer will wake is suspended."""
    frame = getattr(what, "gr_frame", None)
    if frame is None or not _timer_stacks:
        return ""
    import traceback

    return "".join(traceback.format_stack(frame))


def format_asyncio_info() -> str:
    """
    Describe the asyncio tasks on the hub's loop, with where each of them waits.

    Raises:
        RuntimeError: If the hub is one without asyncio.
    """
    import asyncio

    loop = getattr(_hub(), "loop", None)
    if loop is None:
        msg = (
            "no asyncio loop: the hub is not the asyncio one, set EVENTLET_HUB=asyncio"
        )
        raise RuntimeError(msg)
    described: list[str] = []
    for task in asyncio.all_tasks(loop):
        described.append(repr(task))
        described.extend(
            f"    {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
            for frame in task.get_stack()
        )
    return _lines(f"EVENTLOOP: {loop!r}", "TASKS:", described)


def format_threads_info() -> str:
    """Describe the OS threads, with the stack each of them is running."""
    import threading
    import traceback

    names = {thread.ident: repr(thread) for thread in threading.enumerate()}
    described: list[str] = []
    for ident, frame in sys._current_frames().items():
        described.append(names.get(ident, f"<thread {ident}>"))
        stack = "".join(traceback.format_stack(frame))
        described.extend(stack.rstrip().splitlines())
    return _lines("THREADS:", described)


def hub_listener_stacks(state: bool = False) -> None:
    """
    Record where each wait for a descriptor began.

    `format_hub_listeners` then shows it. Costs time at every wait.
    """
    _hub().set_debug_listeners(state)


def hub_timer_stacks(state: bool = False) -> None:
    """
    Record where each timer was made.

    `format_hub_timers` then shows it. Costs time at every timer.
    """
    global _timer_stacks  # noqa: PLW0603 - for all hubs
    from eventlet.hubs import timer
    from eventlet_asyncio._core import _record_timers

    timer._g_debug = _timer_stacks = bool(state)
    _record_timers(_stack_of_caller if state else None)


# Whether `hub_timer_stacks` is on.
_timer_stacks = False


def _stack_of_caller() -> str:
    """Describe the code that makes a timer; called by the engine."""
    import traceback

    return "".join(traceback.format_stack(sys._getframe(1)))


def hub_prevent_multiple_readers(state: bool = True) -> None:
    """
    Choose whether two green threads may wait to read from one descriptor.

    It is a common mistake, with data going to either of them at random, so by
    default the second one gets an error. If you know better, pass False: then
    they are woken in order of arrival.
    """
    from eventlet.hubs import hub

    # For hubs to come, and for the one there is.
    hub.g_prevent_multiple_readers = state
    _hub()._one_reader = state


def hub_exceptions(state: bool = True) -> None:
    """Choose whether exceptions that nobody caught are printed by the hub."""
    from eventlet import greenpool

    _hub().set_timer_exceptions(state)
    greenpool.DEBUG = state


def tpool_exceptions(state: bool = False) -> None:
    """Choose whether exceptions of calls made through `tpool` are printed."""
    from eventlet import tpool

    tpool.QUIET = not state


def hub_blocking_detection(state: bool = False, resolution: float = 1) -> None:
    """
    Choose whether code that keeps the hub from working gets an error.

    A green thread of its own puts an alarm off again and again; if it cannot,
    RuntimeError is raised in whatever is running, which shows the place. Uses
    SIGALRM: only in the main thread, and not along with other users of it.

    Args:
        state: On or off.
        resolution: Seconds a green thread may run without a switch point. The
            error comes up to half as much later.

    Raises:
        ValueError: If called in another OS thread than the main one.
    """
    global _detector  # noqa: PLW0603 - a process has one alarm
    if _detector is not None:
        _detector.stop()
        _detector = None
    hub = _hub()
    hub.debug_blocking = state
    hub.debug_blocking_resolution = resolution
    if state:
        _detector = _BlockingDetector(hub, resolution)
    else:
        hub.block_detect_post()


class _BlockingDetector:
    """
    An alarm that rings unless the hub gets round to putting it off.

    Not armed at each switch: green threads switch to each other directly, and
    none of them should pay for it when nobody is looking.
    """

    def __init__(self, hub: Any, resolution: float) -> None:
        import signal

        self._hub = hub
        self._resolution = resolution
        self._former = signal.signal(signal.SIGALRM, self._ring)
        from eventlet.greenthread import spawn

        self._beat = spawn(self._put_off_for_ever)
        # What comes before its first turn may be what blocks.
        self._put_off()

    def stop(self) -> None:
        import signal

        self._beat.kill()
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._former)

    def _put_off(self) -> None:
        import signal

        signal.setitimer(signal.ITIMER_REAL, self._resolution * 1.5)

    def _put_off_for_ever(self) -> None:
        from eventlet.greenthread import sleep

        while True:
            self._put_off()
            sleep(self._resolution / 2)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        from eventlet.hubs.hub import alarm_handler
        from eventlet.support.greenlets import getcurrent

        # The hub itself does not block: the process was stopped, or starved.
        if getcurrent() is not self._hub.greenlet or self._in_callback(frame):
            alarm_handler(signum, frame)

    def _in_callback(self, frame: FrameType | None) -> bool:
        """Tell whether the hub's stack runs code that is neither its own nor the loop's."""
        loop = getattr(self._hub, "loop", None)
        while frame is not None:
            name = str(frame.f_globals.get("__name__", ""))
            if not name.startswith(_MACHINERY):
                # A loop of the application's own making waits in its methods.
                return frame.f_locals.get("self", self) is not loop
            frame = frame.f_back
        return False


# What runs on the hub's stack while it has nothing to do.
_MACHINERY = ("asyncio", "eventlet", "selectors", "__original_module_", "uvloop")


_detector: _BlockingDetector | None = None


def _safe_repr(value: Any) -> str:
    """Describe an object that may not be ready to be described."""
    try:
        return repr(value)
    except Exception as error:
        return f"<{type(value).__name__}: no repr, {type(error).__name__}>"


def _hub() -> Any:
    from eventlet.hubs import get_hub

    return get_hub()


def _lines(*parts: str | Iterable[str]) -> str:
    lines: list[str] = []
    for part in parts:
        if isinstance(part, str):
            lines.append(part)
        else:
            lines.extend(part)
    return os.linesep.join(lines)
