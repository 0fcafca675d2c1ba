"""
asyncio's debug mode: report who keeps the loop waiting.

asyncio logs each callback that takes longer than ``slow_callback_duration``.
The hub's turns are callbacks, too, and say nothing of the green thread that is slow.
So the hub measures its green threads itself and logs them as asyncio does;
what asyncio says of the hub's callbacks is left out.
"""

from __future__ import annotations

import functools
import logging
import re
from typing import TYPE_CHECKING, Any

from eventlet.hubs.timer import Timer

if TYPE_CHECKING:
    from types import CodeType, FrameType

logger = logging.getLogger("asyncio")

_OWN = re.compile(
    r"<(Timer)?Handle (when=\S+ )?[\w.<>]*\._(asyncio_turn|asyncio_timer|task_done)\b"
)


class _NotTheHub(logging.Filter):
    """Drops what asyncio logs of the hub's own callbacks."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record is to be logged."""
        if not isinstance(record.msg, str) or not record.msg.startswith("Executing %"):
            return True
        args = record.args
        return not (isinstance(args, tuple) and args and _OWN.match(str(args[0])))


_filter = _NotTheHub()


def begin() -> None:
    """Leave the hub's callbacks out of asyncio's log from now on."""
    # A filter that is there already is not added again.
    logger.addFilter(_filter)


def label(what: Any) -> str:
    """Name a greenlet that is about to be entered, or a callback about to be called."""
    frame: FrameType | None = getattr(what, "gr_frame", None)
    if frame is not None:
        while frame.f_back is not None:
            frame = frame.f_back
        return f"{_kind(what)} {_code(frame.f_code)}"
    ask = getattr(what, "_function", None)
    function = ask() if ask is not None else getattr(what, "run", None)
    if function is not None:
        return f"{_kind(what)} {_callable(function)}"
    if isinstance(what, functools.partial) and what.args:
        subject = what.args[0]
        if isinstance(subject, Timer):
            return f"timer {_callable(subject.tpl[0])}"
        return f"callback {subject!r}"
    if callable(what):
        return f"callback {_callable(what)}"
    return repr(what)


def report(name: str, what: Any, seconds: float) -> None:
    """Log that something ran for long without letting others run."""
    frame: FrameType | None = getattr(what, "gr_frame", None)
    if frame is None:
        logger.warning("Executing %s took %.3f seconds", name, seconds)
        return
    place = f"{frame.f_code.co_filename}:{frame.f_lineno}"
    logger.warning(
        "Executing %s took %.3f seconds, until it waited at %s", name, seconds, place
    )


def _kind(what: Any) -> str:
    return "main" if getattr(what, "parent", what) is None else "green thread"


def _callable(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    code = getattr(function, "__code__", None)
    if code is not None:
        return _code(code)
    return getattr(function, "__qualname__", None) or repr(function)


def _code(code: CodeType) -> str:
    name = getattr(code, "co_qualname", code.co_name)
    return f"{name}() at {code.co_filename}:{code.co_firstlineno}"
