"""
Choose whose ``eventlet`` and ``greenlet`` this process imports.

One meta path finder answers for these two top-level names; all submodules are
then found in the ordinary way, through the package's own path.  The modules
carry their public names, so that pickles, tracebacks and warning filters read
the same as with any other ``eventlet``.

Where the finder stands decides what it does:

* *first* on ``sys.meta_path`` (``EVENTLET_HUB=asyncio`` at interpreter start,
  or :func:`activate`): this implementation, whatever else is installed;
* *last* (otherwise): asked only for a name nobody else has, so an installed
  upstream stays untouched, and without one this implementation serves;
* *absent*: no start-up file was read, as under ``python -S``.

With ``EVENTLET_ASYNCIO_DISABLE=1`` it has no answer, wherever it stands.

Both names come from one implementation, or the import fails with the reason.
Green threads of one and greenlets of the other would switch each other's
stacks without knowing how, so a mixture is refused rather than half working.
:func:`claim` sees to that when the first of the two is executed; the finder
itself changes nothing, because programs probe for ``eventlet`` with
``importlib.util.find_spec`` and must not be changed by the answer.

Modules already loaded are never replaced: whoever imported them holds on to
their classes, and two hubs in a thread wait for each other.

The start-up file (``eventlet_asyncio_hook.pth``) runs in every interpreter of
the environment, also where nobody wants eventlet, so it imports nothing: it
places a stand-in for the finder, which asks this module when one of the two
names comes up.  What it leaves out is decided here, since compiling the line is
what it costs: 0.1 to 0.2 ms, or 0.3 ms of a whole start where nothing else has
been compiled.  Importing this module each time would cost 0.3 ms on top, and
2 ms without cached bytecode.  A budget in ``tests/activation`` keeps it there.
"""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

HUB_VARIABLE = "EVENTLET_HUB"
DISABLE_VARIABLE = "EVENTLET_ASYNCIO_DISABLE"
NAMES = ("eventlet", "greenlet")
OVERLAY = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_overlay")

#: Where each code of an error is explained: a file of the source distribution.
ERRORS_PAGE = "docs/reference/errors.md"

_REMEDY = (
    "Set EVENTLET_HUB=asyncio before Python starts, or call "
    "eventlet_asyncio.activate() before anything imports eventlet or greenlet."
)


class OverlayFinder:
    """
    Find the overlay's two packages, and nothing else.

    Attributes:
        eventlet_asyncio: Marks the finder, and its stand-in, which has no
            class of its own to go by.
    """

    eventlet_asyncio = True

    def find_spec(
        self,
        name: str,
        path: "Sequence[str] | None" = None,  # noqa: ARG002 - part of the protocol
        target: "ModuleType | None" = None,  # noqa: ARG002 - part of the protocol
    ) -> "ModuleSpec | None":
        """Return the spec of ``eventlet`` or ``greenlet`` from the overlay."""
        return overlay_spec(name) if name in NAMES else None


def overlay_spec(name: str) -> "ModuleSpec | None":
    """Return the spec of one of the overlay's packages: what a finder answers."""
    if is_disabled():
        return None
    from importlib.machinery import PathFinder

    return PathFinder.find_spec(name, [OVERLAY])


def activate() -> bool:
    """
    Make ``import eventlet`` and ``import greenlet`` give this implementation.

    What ``EVENTLET_HUB=asyncio`` does at interpreter start, from code: for
    ``python -S``, zip applications, and programs that choose at run time.
    Call it before anything imports ``eventlet`` or ``greenlet``; calling it
    again does nothing.  ``EVENTLET_HUB`` becomes ``asyncio`` for this process
    and its children unless it has a value already.  Not a switch point.

    Returns:
        Whether this implementation serves the imports now: ``False`` only where
        ``EVENTLET_ASYNCIO_DISABLE`` switches it off.

    Raises:
        ImportError: If another ``eventlet`` or ``greenlet`` is loaded already.
    """
    if is_disabled():
        return False
    foreign = foreign_module()
    if foreign is not None:
        message = (
            f"eventlet_asyncio.activate() comes too late: "
            f"{_describe(foreign)} is loaded already. {_REMEDY}"
        )
        raise ImportError(coded("EA102", message), name=foreign)
    _install_first()
    if not os.environ.get(HUB_VARIABLE):
        os.environ[HUB_VARIABLE] = "asyncio"
    return True


def is_active() -> bool:
    """
    Tell whether ``import eventlet`` gives this implementation.

    Imports nothing and changes nothing.  Not a switch point.
    """
    return foreign_module() is None and is_ours(origin_of("eventlet"))


def is_disabled() -> bool:
    """Tell whether the environment switches this distribution off."""
    return os.environ.get(DISABLE_VARIABLE, "") not in ("", "0")


def claim(name: str) -> None:
    """
    Let a package of the overlay load, and keep its pair together.

    Each of the overlay's two packages calls this first, with its ``__name__``.
    From then on the finder stands first, so that the second name comes from
    the overlay as well.

    Raises:
        ImportError: If the package is loaded by its nested path, which would
            make second copies of its modules and so a second hub; or if the
            other package is already loaded from elsewhere.
    """
    if name not in NAMES:
        public = name.rpartition(".")[2]
        message = (
            f"{name} is not a way to import {public}: a second copy of its "
            f"modules would have a hub of its own. Write 'import {public}'. {_REMEDY}"
        )
        raise ImportError(coded("EA103", message), name=name)
    foreign = foreign_module()
    if foreign is not None:
        message = (
            f"cannot load {name} of eventlet-asyncio: {_describe(foreign)} is "
            f"loaded already, and the two cannot be mixed. {_REMEDY}"
        )
        raise ImportError(coded("EA104", message), name=name)
    _install_first()


def foreign_module() -> "str | None":
    """Name the one of the two modules that is loaded from elsewhere, if any."""
    for name in NAMES:
        if sys.modules.get(name) is not None and not is_ours(origin_of(name)):
            return name
    return None


def origin_of(name: str) -> "str | None":
    """
    Return the file that ``name`` is, or would be, loaded from.

    ``None`` means that there is no such module, or none with a file.
    """
    module = sys.modules.get(name)
    if module is not None:
        return getattr(module, "__file__", None)
    from importlib.util import find_spec

    # ValueError: a None in sys.modules, by which tests forbid an import.
    try:
        spec = find_spec(name)
    except ValueError:
        return None
    return None if spec is None else spec.origin


def is_ours(origin: "str | None") -> bool:
    """Tell whether a module's file lies in the overlay."""
    return origin is not None and os.path.abspath(origin).startswith(OVERLAY + os.sep)


def position() -> str:
    """
    Say where the finder stands: ``first``, ``last`` or ``absent``.

    First is who is asked before the installed packages are looked through.
    """
    from importlib.machinery import PathFinder

    for entry in sys.meta_path:
        if _is_finder(entry):
            return "first"
        if entry is PathFinder:
            break
    return "last" if any(map(_is_finder, sys.meta_path)) else "absent"


def _is_finder(entry: object) -> bool:
    """Recognise the finder or its stand-in among the meta path's entries."""
    return getattr(entry, "eventlet_asyncio", None) is True


def _install_first() -> None:
    """Put the finder at the front, in place of the stand-in."""
    if position() != "first":
        others = [entry for entry in sys.meta_path if not _is_finder(entry)]
        sys.meta_path[:] = [OverlayFinder(), *others]


def coded(code: str, message: str) -> str:
    """
    Add to a message its code and the address of the page that explains it.

    For errors of our own; where upstream or the standard library defines a text,
    programs compare it, and it stays as it is.
    """
    return f"{message} [{code}: {ERRORS_PAGE}#{code.lower()}]"


def _describe(name: str) -> str:
    """Name a loaded module and the file it came from."""
    return f"{name} from {origin_of(name) or 'an unknown place'}"
