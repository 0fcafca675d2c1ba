"""
Where in the user's code something happens: frames, without Eventlet's own.

Used by the guard and by evidence, in a greenlet tracer: no imports, no files, no
locks, and nothing that could switch.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from types import CodeType, FrameType

# Their frames say how a switch is made, not where it is asked for.
_ENGINE = frozenset({"eventlet", "eventlet_asyncio", "greenlet"})
# A greenlet whose newest frame is here runs an event loop: nobody asked for a
# switch there, the loop gave somebody a turn.
_LOOPS = frozenset({"asyncio", "selectors", "uvloop"})

_STANDARD = os.path.join(os.path.dirname(os.__file__), "")
_INSTALLED = (os.sep + "site-packages" + os.sep, os.sep + "dist-packages" + os.sep)


class Place(NamedTuple):
    """
    A line of code.

    Attributes:
        path: The file, as the code object has it.
        line: Its number, from 1.
        function: ``module:qualified.name``.
        package: The first part of the module's name.
    """

    path: str
    line: int
    function: str
    package: str


def place_of(frame: FrameType) -> Place:
    """Return the place where a frame stands."""
    code = frame.f_code
    module = module_of(frame)
    return Place(
        code.co_filename,
        frame.f_lineno or code.co_firstlineno,
        f"{module}:{name_of(code)}",
        module.split(".", 1)[0],
    )


def site_of(frame: FrameType | None) -> Place | None:
    """
    Return the line of the program that a greenlet switch was asked for on.

    That is the newest frame that is neither Eventlet's nor the standard
    library's. ``None`` if the stack is a hub's or an event loop's.
    """
    found = site_frame(frame)
    return None if found is None else place_of(found)


def site_frame(frame: FrameType | None) -> FrameType | None:
    """Return the frame that `site_of` describes."""
    engine = True
    while frame is not None:
        package = (frame.f_globals.get("__name__") or "?").split(".", 1)[0]
        if package not in _ENGINE:
            if engine and package in _LOOPS:
                return None
            engine = False
            if not is_standard(frame.f_code.co_filename):
                return frame
        frame = frame.f_back
    return None


def module_of(frame: FrameType) -> str:
    """Return the module's name, of ``__main__`` the one it could be imported by."""
    name: str = frame.f_globals.get("__name__") or "?"
    if name == "__main__":
        spec = frame.f_globals.get("__spec__")
        if spec is not None:
            return f"{spec.name}"
        path = frame.f_globals.get("__file__")
        if path:
            name = os.path.splitext(os.path.basename(path))[0]
    return name


def is_standard(path: str) -> bool:
    """Tell whether a file belongs to the standard library."""
    if path.startswith("<frozen "):
        return True
    return path.startswith(_STANDARD) and not any(part in path for part in _INSTALLED)


def is_engine(frame: FrameType) -> bool:
    """Tell whether a frame is Eventlet's, greenlet's or ours."""
    return (frame.f_globals.get("__name__") or "?").split(".", 1)[0] in _ENGINE


def is_loop(frame: FrameType) -> bool:
    """Tell whether a frame is an event loop's."""
    return (frame.f_globals.get("__name__") or "?").split(".", 1)[0] in _LOOPS


def name_of(code: CodeType) -> str:
    """Return a function's qualified name; before Python 3.11 its plain one."""
    return getattr(code, "co_qualname", code.co_name)
