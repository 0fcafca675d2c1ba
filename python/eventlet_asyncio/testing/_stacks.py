"""All stacks of the process as text: what a test that takes too long leaves as its reason."""

from __future__ import annotations

import gc
import sys
import threading
import traceback
from typing import Any


def format_stacks() -> str:
    """Return the stacks of OS threads, green threads and tasks. Not a switch point."""
    parts = []
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        parts.append(_part(f"OS thread {names.get(ident, ident)}", frame))
    return "\n\n".join([*parts, *green_stacks()])


def green_stacks() -> list[str]:
    """Return the stacks of green threads that wait, and of tasks. Not a switch point."""
    parts = []
    greenlet = sys.modules.get("greenlet")
    if greenlet is not None:
        current = greenlet.getcurrent()
        for green in gc.get_objects():
            if isinstance(green, greenlet.greenlet) and green is not current:
                frame = green.gr_frame
                if frame is not None:
                    parts.append(_part(repr(green), frame))
    return parts + _tasks()


def show_green_stacks(config: Any) -> None:
    """
    Have pytest-timeout's dump show green threads and tasks, too, until the run ends.

    It shows the OS threads but its own: with the method `signal` that leaves out the one
    in which all green threads are.
    """
    timeouts: Any = sys.modules.get("pytest_timeout")
    dump = getattr(timeouts, "dump_stacks", None)
    if dump is None:
        return

    def dump_stacks(terminal: Any) -> None:
        dump(terminal)
        for part in green_stacks():
            title, _, text = part.partition(":\n")
            terminal.sep("~", title=f"Stack of {title}")
            terminal.write(f"{text}\n")

    timeouts.dump_stacks = dump_stacks
    config.add_cleanup(lambda: setattr(timeouts, "dump_stacks", dump))


def _part(title: str, frame: Any) -> str:
    return f"{title}:\n{''.join(traceback.format_stack(frame)).rstrip()}"


def _tasks() -> list[str]:
    asyncio: Any = sys.modules.get("asyncio")
    parts = []
    for task in gc.get_objects() if asyncio is not None else ():
        if isinstance(task, asyncio.Task) and not task.done():
            frames = task.get_stack()
            text = "".join(
                line for frame in frames for line in traceback.format_stack(frame, 1)
            )
            parts.append(f"task {task.get_name()}:\n{text.rstrip()}")
    return parts
