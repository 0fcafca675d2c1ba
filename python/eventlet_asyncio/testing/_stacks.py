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
    greenlet = sys.modules.get("greenlet")
    if greenlet is not None:
        current = greenlet.getcurrent()
        for green in gc.get_objects():
            if isinstance(green, greenlet.greenlet) and green is not current:
                frame = green.gr_frame
                if frame is not None:
                    parts.append(_part(repr(green), frame))
    parts += _tasks()
    return "\n\n".join(parts)


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
