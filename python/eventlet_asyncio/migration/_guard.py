"""
Keep Eventlet out of a process that has left it, or count what is left.

Three things are watched: imports of ``eventlet``, calls of ``monkey_patch``, and
greenlet switches. All of it is per process; a child that is forked goes on with
counts of its own.

*Imports.* A finder at the front of ``sys.meta_path`` answers for ``eventlet``
when it is imported for the first time, and ``builtins.__import__`` and
``importlib.import_module`` are wrapped to see the imports of a module that is
loaded already. Probes (``importlib.util.find_spec``) are answered truthfully:
the import fails, not the question. Imports that Eventlet itself makes are its
own affair.

*Switches.* See :mod:`eventlet_asyncio.migration._tracing`. A switch of a library
that uses greenlet for itself, as SQLAlchemy's asyncio extension does, is none of
Eventlet's and is let pass.
"""

from __future__ import annotations

import atexit
import builtins
import importlib
import os
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any, Literal, cast

from eventlet_asyncio._activate import coded
from eventlet_asyncio.migration import _tracing
from eventlet_asyncio.migration._frames import Place, place_of, site_of
from eventlet_asyncio.migration._loading import LoadWatch

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType, TracebackType

    from typing_extensions import Self

Mode = Literal["error", "warn", "count"]

VARIABLE = "EVENTLET_ASYNCIO_GUARD"
MODES = ("error", "warn", "count")
KINDS = ("import", "monkey_patch", "switch")

# What uses greenlets and not Eventlet. Names of packages.
_BYSTANDERS = frozenset({"awaitlet", "gevent", "playwright", "sqlalchemy"})


class GuardWarning(RuntimeWarning):
    """Something that a guard with the mode ``warn`` has seen."""


class GuardedImportError(ImportError):
    """Eventlet was imported where a guard forbids it."""


class GuardedSwitchError(RuntimeError):
    """A greenlet switch, or a call of ``monkey_patch``, where a guard forbids it."""


def guard(mode: str = "error") -> Guard:
    """
    Return a guard, a context manager: what is in its block must not need Eventlet.

    Args:
        mode: ``"error"`` forbids: an import raises :class:`GuardedImportError`,
            ``monkey_patch`` and a switch :class:`GuardedSwitchError`. ``"warn"``
            gives a :class:`GuardWarning` for each place. ``"count"`` is silent:
            see :attr:`Guard.counts` and :attr:`Guard.places`.

    The block is watched in the whole process, not in the caller alone; guards
    may be nested, and each sees what happens in its own block. Switches are seen
    in the OS thread that enters the block and in threads that start within.

    Raises:
        ValueError: For a mode that there is not.
    """
    return Guard(mode)


class Guard:
    """
    Watches a block, or a process.

    Attributes:
        mode: As given to :func:`guard`.
        counts: How often each of ``"import"``, ``"monkey_patch"`` and
            ``"switch"`` happened.
        places: The same by place: ``(kind, file, line)`` to a number.
    """

    def __init__(self, mode: str = "error") -> None:
        if mode not in MODES:
            raise ValueError(coded("EA201", _no_such_mode(mode)))
        self.mode: Mode = cast("Mode", mode)
        self.counts: dict[str, int] = dict.fromkeys(KINDS, 0)
        self.places: dict[tuple[str, str, int], int] = {}

    def __enter__(self) -> Self:
        """Begin to watch."""
        _watch.add(self)
        return self

    def __exit__(
        self,
        typ: type[BaseException] | None,
        value: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        """End it; what was replaced is put back."""
        _watch.remove(self)

    def summary(self) -> str:
        """Return what was counted, in lines for people: the places most used first."""
        lines = [
            "eventlet-asyncio guard: "
            + ", ".join(f"{number} x {kind}" for kind, number in self.counts.items())
            + f" in process {os.getpid()}"
        ]
        ranked = sorted(self.places.items(), key=lambda item: (-item[1], item[0]))
        lines += [
            f"  {number:6} x {kind:12} {path}:{line}"
            for (kind, path, line), number in ranked[:20]
        ]
        if len(ranked) > 20:
            lines.append(f"  and {len(ranked) - 20} other places")
        return "\n".join(lines)

    def _note(self, kind: str, place: Place) -> None:
        self.counts[kind] += 1
        key = (kind, place.path, place.line)
        self.places[key] = self.places.get(key, 0) + 1


def from_environment() -> None:
    """
    Start what ``EVENTLET_ASYNCIO_GUARD`` asks for; the start-up file calls it.

    A misspelt mode is told on standard error, and guards as ``error`` does: who
    has set the variable wants Eventlet kept out, and would not learn otherwise
    that it was not. In the mode ``count`` the summary is printed to standard
    error when the process ends.
    """
    mode = os.environ.get(VARIABLE, "")
    if not mode:
        return
    if _watch.process is not None:
        # Some interpreters read start-up files twice, and others in between.
        _watch.move_to_front()
        return
    if mode not in MODES:
        told = coded("EA201", f"{VARIABLE}: {_no_such_mode(mode)}; 'error' is used")
        sys.stderr.write(f"eventlet-asyncio guard: {told}\n")
        mode = "error"
    _watch.process = started = Guard(mode)
    started.__enter__()
    if mode == "count":
        atexit.register(lambda: sys.stderr.write(started.summary() + "\n"))


def _no_such_mode(mode: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(mode, MODES, 1)
    meant = f", did you mean {close[0]!r}?" if close else ""
    return f"no such mode of the guard: {mode!r}{meant} (error, warn or count)"


class _Watch:
    """What is replaced in the process, while there is any guard."""

    def __init__(self) -> None:
        self.process: Guard | None = None
        self._guards: list[Guard] = []
        self._inside = threading.local()
        self._loading = LoadWatch(
            frozenset({"eventlet", "eventlet.patcher"}), self.loaded, self.found
        )
        self._import: Any = None
        self._import_module: Any = None
        os.register_at_fork(after_in_child=self._forked)

    def move_to_front(self) -> None:
        """Have the finders asked before those that have come since."""
        _tracing.move_to_front()
        self._loading.install()

    # Beginning and end

    def add(self, guard: Guard) -> None:
        self._guards.append(guard)
        if len(self._guards) == 1:
            self._start()

    def remove(self, guard: Guard) -> None:
        self._guards.remove(guard)
        if not self._guards:
            self._stop()

    def _start(self) -> None:
        self._import = builtins.__import__
        self._import_module = importlib.import_module
        builtins.__import__ = self._importing
        importlib.import_module = self._importing_module
        if "eventlet.patcher" in sys.modules:
            self.wrap_patcher()
        _tracing.add(self._switched)
        self._loading.install()

    def _stop(self) -> None:
        self._loading.uninstall()
        if builtins.__import__ == self._importing:
            builtins.__import__ = self._import
        if importlib.import_module == self._importing_module:
            importlib.import_module = self._import_module
        _unwrap_patcher()
        _tracing.remove(self._switched)

    def _forked(self) -> None:
        for each in self._guards:
            each.counts.update(dict.fromkeys(KINDS, 0))
            each.places.clear()

    # What is seen

    def report(
        self, kind: str, text: str, place: Place, error: Callable[[str], Exception]
    ) -> Exception | None:
        """
        Count, and warn or return the error that forbids it.

        The strictest of the guards decides.
        """
        found: Exception | None = None
        for each in list(self._guards):
            each._note(kind, place)
            if each.mode == "warn":
                try:
                    warnings.warn_explicit(
                        coded("EA204", text), GuardWarning, place.path, place.line
                    )
                except GuardWarning as raised:
                    # "error" is what the warning filters make of it.
                    found = found or raised
            elif each.mode == "error":
                found = error(text)
        return found

    # Imports

    def _importing(
        self,
        name: str,
        globals: Any = None,  # noqa: A002 - the builtin's
        locals: Any = None,  # noqa: A002
        fromlist: Any = (),
        level: int = 0,
    ) -> Any:
        """Stand in for ``builtins.__import__``."""
        if (
            level == 0
            and (name == "eventlet" or name.startswith("eventlet."))
            and not _is_internal((globals or {}).get("__name__", ""))
        ):
            return self._noted(
                name, self._import, name, globals, locals, fromlist, level
            )
        return self._import(name, globals, locals, fromlist, level)

    def _importing_module(self, name: str, package: str | None = None) -> Any:
        """Stand in for ``importlib.import_module``."""
        caller = sys._getframe(1).f_globals.get("__name__", "")
        if (name == "eventlet" or name.startswith("eventlet.")) and not _is_internal(
            caller
        ):
            return self._noted(name, self._import_module, name, package)
        return self._import_module(name, package)

    def _noted(self, name: str, call: Callable[..., Any], *args: Any) -> Any:
        """Report an import, and then make it, unless it is forbidden."""
        if getattr(self._inside, "value", False):
            return call(*args)
        self.refuse_import(name, place_of(sys._getframe(2)))
        self._inside.value = True
        try:
            return call(*args)
        finally:
            self._inside.value = False

    def refuse_import(self, name: str, place: Place) -> None:
        """Report an import. Raise if that is what a guard makes of it."""
        text = f"import of {name} at {place.path}:{place.line}"
        error = self.report("import", text, place, _import_error(name))
        if error is not None:
            raise error

    def found(self, name: str) -> None:
        """Report an import that reached the finder, unless it has been noted."""
        if name != "eventlet":
            return
        if getattr(self._inside, "value", False):
            return
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and _is_machinery(frame):
            frame = frame.f_back
        if frame is not None and not _is_internal(frame.f_globals.get("__name__", "")):
            self.refuse_import(name, place_of(frame))

    def loaded(self, name: str) -> None:
        """Note that a module that is watched has been executed."""
        if name == "eventlet.patcher":
            self.wrap_patcher()

    # monkey_patch

    def wrap_patcher(self) -> None:
        """Have ``monkey_patch`` report itself."""
        patcher: Any = sys.modules["eventlet.patcher"]
        former = patcher.monkey_patch
        if hasattr(former, "_guarded"):
            return

        def monkey_patch(*args: Any, **kwargs: Any) -> Any:
            place = site_of(sys._getframe(1)) or place_of(sys._getframe(1))
            text = f"monkey_patch() at {place.path}:{place.line}"
            error = self.report("monkey_patch", text, place, _switch_error)
            if error is not None:
                raise error
            return former(*args, **kwargs)

        monkey_patch._guarded = former  # type: ignore[attr-defined]
        monkey_patch.__doc__ = former.__doc__
        patcher.monkey_patch = monkey_patch
        eventlet: Any = sys.modules.get("eventlet")
        if eventlet is not None and "monkey_patch" in vars(eventlet):
            eventlet.monkey_patch = monkey_patch

    # Switches

    def _switched(self, origin: Any, _target: object) -> Exception | None:
        """Report a switch that the program has asked for."""
        frame = origin.gr_frame
        if frame is None or origin.dead:
            return None
        place = site_of(frame)
        if place is None or place.package in _BYSTANDERS:
            return None
        text = f"greenlet switch at {place.path}:{place.line} in {place.function}"
        return self.report("switch", text, place, _switch_error)


def _import_error(name: str) -> Callable[[str], Exception]:
    def make(text: str) -> Exception:
        message = coded("EA202", f"{text} is forbidden: this process is guarded")
        return GuardedImportError(message, name=name)

    return make


def _switch_error(text: str) -> Exception:
    return GuardedSwitchError(
        coded("EA203", f"{text} is forbidden: this process is guarded")
    )


def _unwrap_patcher() -> None:
    for name in ("eventlet.patcher", "eventlet"):
        module: Any = sys.modules.get(name)
        former = (
            getattr(vars(module).get("monkey_patch"), "_guarded", None)
            if module
            else None
        )
        if former is not None:
            module.monkey_patch = former


def _is_internal(name: str) -> bool:
    return name.split(".", 1)[0] in ("eventlet", "eventlet_asyncio")


def _is_machinery(frame: FrameType) -> bool:
    name: str = frame.f_globals.get("__name__", "")
    return name.startswith(("importlib", "eventlet_asyncio.migration._"))


_watch = _Watch()
