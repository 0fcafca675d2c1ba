"""
Evidence: where a run has switched between green threads, how often, how long.

What a scanner cannot know from the text: whether a line switches in fact. A
:class:`Recorder` listens to greenlet's tracer and writes a file that ``scan``
and ``plan`` read with ``--evidence``; several files, of the workers of a test
run or of the processes of a service, are joined by :func:`merge`. The format is
described in ``docs/reference/evidence.md``.

Works with this implementation and with upstream's. Recording costs a few
microseconds a switch.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlet_asyncio._activate import coded
from eventlet_asyncio.migration import _tracing
from eventlet_asyncio.migration._frames import (
    is_engine,
    is_standard,
    module_of,
    name_of,
    site_frame,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import CodeType, FrameType

    from typing_extensions import Self

#: The version of the format. A reader refuses what it does not know.
VERSION = 1

_DEEPEST = 100
_RUNNER = "eventlet_asyncio.cli.run"


class EvidenceError(ValueError):
    """A file is no evidence, or of a version that is not known here."""


class _Site:
    """What is known of one line, and of those who called its function."""

    __slots__ = ("blocked", "callers", "frame_module", "longest", "switches", "tests")

    def __init__(self, frame_module: str) -> None:
        self.frame_module = frame_module
        self.switches = 0
        self.longest = 0.0
        self.blocked = 0.0
        self.callers: dict[tuple[CodeType, int], list[Any]] = {}
        self.tests: set[str] = set()


class Recorder:
    """
    Records the switches of this process from :meth:`start` to :meth:`stop`.

    A context manager. In a child that is forked the record begins anew.

    Args:
        executed: Also record which functions ran, so that a reader can tell a
            line that never switched from one that never ran. Needs Python 3.12
            (``sys.monitoring``, one event for each function); before that, and
            if another tool holds the profiler's place, nothing is recorded of it.

    Attributes:
        context: A name, of a test for one, that is noted at each line reached
            while it is set; ``None`` for no name.
    """

    def __init__(self, *, executed: bool = True) -> None:
        self.context: str | None = None
        self._executed = executed
        self._watching = False
        self._clear()
        os.register_at_fork(after_in_child=self._clear)

    def _clear(self) -> None:
        self._began = time.monotonic()
        self._sites: dict[tuple[CodeType, int], _Site] = {}
        # (caller's code, called code) -> their modules; the calls of all stacks seen.
        self._calls: dict[tuple[CodeType, CodeType], tuple[str, str]] = {}
        self._stacks: set[tuple[CodeType, ...]] = set()
        self._left: weakref.WeakKeyDictionary[Any, tuple[float, _Site]] = (
            weakref.WeakKeyDictionary()
        )
        self._entered: weakref.WeakKeyDictionary[Any, float] = (
            weakref.WeakKeyDictionary()
        )
        self._functions: set[CodeType] = getattr(self, "_functions", set())

    def start(self) -> None:
        """Begin to record."""
        _tracing.add(self._switched)
        if self._executed:
            self._watching = self._watch_functions()

    def stop(self) -> None:
        """End it; what was recorded stays."""
        _tracing.remove(self._switched)
        if self._watching:
            monitoring: Any = sys.monitoring  # type: ignore[attr-defined]
            monitoring.free_tool_id(monitoring.PROFILER_ID)
            self._watching = False
            self._knows_functions = True

    _knows_functions = False

    def __enter__(self) -> Self:
        """Begin to record."""
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it."""
        self.stop()

    def _watch_functions(self) -> bool:
        """Note each function at its first call. Says whether that is possible."""
        monitoring: Any = getattr(sys, "monitoring", None)
        if monitoring is None or monitoring.get_tool(monitoring.PROFILER_ID):
            return False
        tool, functions = monitoring.PROFILER_ID, self._functions

        def started(code: CodeType, _offset: int) -> Any:
            functions.add(code)
            return monitoring.DISABLE

        monitoring.use_tool_id(tool, "eventlet-asyncio evidence")
        monitoring.register_callback(tool, monitoring.events.PY_START, started)
        monitoring.set_events(tool, monitoring.events.PY_START)
        # Others may have switched it off for functions that have run already.
        monitoring.restart_events()
        self._knows_functions = True
        return True

    def _switched(self, origin: Any, target: Any) -> None:
        """Note who leaves, and how long who comes back has waited."""
        now = time.perf_counter()
        frame = None if origin.dead else site_frame(origin.gr_frame)
        if frame is not None:
            site = self._site(frame)
            site.switches += 1
            began = self._entered.get(origin)
            if began is not None and now - began > site.blocked:
                site.blocked = now - began
            if self.context is not None:
                site.tests.add(self.context)
            self._left[origin] = (now, site)
            self._note_stack(origin.gr_frame, frame, site)
        back = self._left.pop(target, None)
        if back is not None and now - back[0] > back[1].longest:
            back[1].longest = now - back[0]
        self._entered[target] = now

    def _site(self, frame: FrameType) -> _Site:
        key = (frame.f_code, frame.f_lineno or 0)
        site = self._sites.get(key)
        if site is None:
            site = self._sites[key] = _Site(module_of(frame))
        return site

    def _note_stack(self, newest: FrameType, frame: FrameType, site: _Site) -> None:
        """Note who called the line's function, and all calls beneath it."""
        caller = _caller(frame)
        if caller is not None:
            key = (caller.f_code, caller.f_lineno or 0)
            known = site.callers.get(key)
            if known is None:
                known = site.callers[key] = [module_of(caller), 0]
            known[1] += 1
        frames: list[FrameType] = []
        step: FrameType | None = newest
        while step is not None and len(frames) < _DEEPEST:
            if step.f_globals.get("__name__") == _RUNNER:
                # Beneath it is the command line's start.
                break
            if not is_engine(step):
                frames.append(step)
            step = step.f_back
        codes = tuple(each.f_code for each in frames)
        if codes in self._stacks:
            return
        self._stacks.add(codes)
        for called, calling in itertools.pairwise(frames):
            pair = (calling.f_code, called.f_code)
            if pair not in self._calls:
                self._calls[pair] = (module_of(calling), module_of(called))

    # What is written

    def document(self) -> dict[str, Any]:
        """Return what was recorded so far, as the format has it."""
        root = Path.cwd()
        names = _Names(root)
        sites = [
            {
                "path": names.path(code),
                "line": line,
                "function": names.function(code, site.frame_module),
                "switches": site.switches,
                "longest_wait": round(site.longest, 6),
                "blocked": round(site.blocked, 6),
                "callers": [
                    {
                        "path": names.path(caller),
                        "line": at,
                        "function": names.function(caller, module),
                        "switches": number,
                    }
                    for (caller, at), (module, number) in list(site.callers.items())
                ],
                "tests": sorted(site.tests),
            }
            for (code, line), site in list(self._sites.items())
        ]
        calls = {
            (names.function(caller, modules[0]), names.function(called, modules[1]))
            for (caller, called), modules in list(self._calls.items())
        }
        executed = None
        if self._knows_functions:
            executed = _unique(
                {
                    "path": names.path(code),
                    "line": code.co_firstlineno,
                    "name": names.qualified(code),
                }
                for code in list(self._functions)
                if not is_standard(code.co_filename)
                and not code.co_filename.startswith("<")
                and os.sep + "eventlet_asyncio" + os.sep not in code.co_filename
            )
        return _ordered(
            {
                "evidence": VERSION,
                "tool": f"eventlet-asyncio {_version()}",
                "python": ".".join(map(str, sys.version_info[:3])),
                "eventlet": _eventlet(),
                "root": str(root),
                "processes": 1,
                "seconds": round(time.monotonic() - self._began, 3),
                "sites": sites,
                "calls": [list(pair) for pair in calls],
                "executed": executed,
            }
        )


def write(document: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write evidence to a file, whole or not at all."""
    target = Path(path)
    part = target.with_name(f"{target.name}.{os.getpid()}.part")
    part.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    part.replace(target)


def load(*paths: str | os.PathLike[str]) -> dict[str, Any]:
    """
    Read files of evidence and join them.

    Raises:
        EvidenceError: If a file is no evidence, or of another version.
        OSError: If a file cannot be read.
    """
    documents = []
    for path in paths:
        try:
            document = json.loads(Path(path).read_text(encoding="utf-8"))
        except ValueError as error:
            raise EvidenceError(
                coded("EA401", f"{path} is no evidence: {error}")
            ) from None
        if not isinstance(document, dict) or "evidence" not in document:
            raise EvidenceError(coded("EA401", f"{path} is no evidence"))
        if document["evidence"] != VERSION:
            raise EvidenceError(
                coded(
                    "EA402",
                    f"{path} has version {document['evidence']!r} of the format; "
                    f"this release reads {VERSION}",
                )
            )
        documents.append(document)
    return merge(documents)


def merge(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """
    Join evidence of several processes or runs.

    Numbers of switches are added, times are the longest, the rest is united.
    ``executed`` is known only if each of them knows it.
    """
    given = list(documents)
    sites: dict[tuple[str, int, str], dict[str, Any]] = {}
    for document in given:
        for site in document["sites"]:
            key = (site["path"], site["line"], site["function"])
            known = sites.get(key)
            if known is None:
                sites[key] = {
                    **site,
                    "callers": [dict(caller) for caller in site["callers"]],
                }
                continue
            known["switches"] += site["switches"]
            for name in ("longest_wait", "blocked"):
                known[name] = max(known[name], site[name])
            known["tests"] = sorted({*known["tests"], *site["tests"]})
            known["callers"] = _joined_callers(known["callers"], site["callers"])
    known_all = all(document["executed"] is not None for document in given)
    return _ordered(
        {
            "evidence": VERSION,
            **{
                name: _common(document.get(name) for document in given)
                for name in ("tool", "python", "eventlet", "root")
            },
            "processes": sum(document["processes"] for document in given),
            "seconds": max((document["seconds"] for document in given), default=0),
            "sites": list(sites.values()),
            "calls": [
                list(pair)
                for pair in {
                    tuple(pair) for document in given for pair in document["calls"]
                }
            ],
            "executed": _unique(
                entry for document in given for entry in document["executed"]
            )
            if given and known_all
            else None,
        }
    )


def _joined_callers(first: list[Any], second: list[Any]) -> list[Any]:
    joined: dict[tuple[str, int, str], dict[str, Any]] = {}
    for caller in [*first, *second]:
        key = (caller["path"], caller["line"], caller["function"])
        if key in joined:
            joined[key]["switches"] += caller["switches"]
        else:
            joined[key] = dict(caller)
    return list(joined.values())


def _common(values: Iterable[Any]) -> Any:
    """Return what all say, or None."""
    found = set(values)
    return found.pop() if len(found) == 1 else None


def _unique(entries: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return list({tuple(entry.items()): entry for entry in entries}.values())


def _ordered(document: dict[str, Any]) -> dict[str, Any]:
    """Sort what has no order of its own, so that equal evidence is equal text."""

    def place(entry: dict[str, Any]) -> tuple[Any, ...]:
        return (entry["path"], entry["line"], entry.get("function", ""))

    document["sites"].sort(key=place)
    for site in document["sites"]:
        site["callers"].sort(key=place)
    document["calls"].sort()
    if document["executed"] is not None:
        document["executed"].sort(key=place)
    return document


def _caller(frame: FrameType) -> FrameType | None:
    """Return the frame that called this one, past Eventlet and the standard library."""
    step = frame.f_back
    while step is not None and (
        is_engine(step) or is_standard(step.f_code.co_filename)
    ):
        if step.f_globals.get("__name__") == _RUNNER:
            return None
        step = step.f_back
    return step


class _Names:
    """Names of files and functions, as they are written."""

    def __init__(self, root: Path) -> None:
        self._root = str(root) + os.sep
        self._known: dict[CodeType, str] = {}
        self._files: dict[str, dict[tuple[int, str], str]] = {}

    def path(self, code: CodeType) -> str:
        """Return the file, relative to the working directory if it lies within."""
        path = code.co_filename
        if not path.startswith("<"):
            path = os.path.abspath(path)  # noqa: PTH100 - links stay as they are
        return path.removeprefix(self._root).replace(os.sep, "/")

    def function(self, code: CodeType, module: str) -> str:
        """Return ``module:qualified.name``."""
        return f"{module}:{self.qualified(code)}"

    def qualified(self, code: CodeType) -> str:
        """Return the qualified name without ``<locals>``; from the source before 3.11."""
        name = self._known.get(code)
        if name is None:
            name = name_of(code)
            if not hasattr(code, "co_qualname"):
                names = self._functions_of(code.co_filename)
                name = names.get((code.co_firstlineno, name), name)
            self._known[code] = name = name.replace(".<locals>", "")
        return name

    def _functions_of(self, path: str) -> dict[tuple[int, str], str]:
        """Map the first line and the name of each function of a file to its full name."""
        if path not in self._files:
            import ast

            found: dict[tuple[int, str], str] = {}

            def visit(node: ast.AST, prefix: str) -> None:
                for child in ast.iter_child_nodes(node):
                    inner = prefix
                    if isinstance(
                        child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
                    ):
                        inner = f"{prefix}{child.name}."
                        decorated = [child, *child.decorator_list]
                        first = min(each.lineno for each in decorated)
                        found[first, child.name] = inner[:-1]
                    visit(child, inner)

            try:
                visit(ast.parse(Path(path).read_bytes()), "")
            except (OSError, SyntaxError, ValueError):
                found.clear()
            self._files[path] = found
        return self._files[path]


def _version() -> str:
    import eventlet_asyncio

    return eventlet_asyncio.__version__


def _eventlet() -> str | None:
    """Say which eventlet ran."""
    eventlet = sys.modules.get("eventlet")
    if eventlet is None:
        return None
    ours = "eventlet_asyncio" in (getattr(eventlet, "__file__", None) or "")
    return f"{'eventlet-asyncio' if ours else 'eventlet'} {eventlet.__version__}"
