"""
``doctor``: say which eventlet and greenlet load here, why, and what is in the way.

It answers from the import system without importing either, so that it also
works where the import would fail, and the answer cannot depend on the asking.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import eventlet_asyncio
from eventlet_asyncio import _activate

if TYPE_CHECKING:
    import argparse

    from eventlet_asyncio._checks import Check

_VARIABLES = (_activate.HUB_VARIABLE, _activate.DISABLE_VARIABLE)
_ERRORS = _activate.ERRORS_PAGE


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.description = (
        "Print which eventlet and greenlet this interpreter loads, and why; load "
        "the native module and make a switch; and look for what commonly goes "
        "wrong. The exit status is 1 if there is a problem."
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    """
    Print the report.

    Returns:
        0, or 1 if there is a problem.
    """
    from eventlet_asyncio._checks import diagnose

    found = diagnose()
    status = int(any(check.state == "problem" for check in found))
    text = _as_json(found, status) if options.json else _as_text(found)
    sys.stdout.write(text)
    return status


def _as_json(found: list[Check], status: int) -> str:
    import json

    imports = {
        name: dict(zip(("origin", "distribution"), _origin(name), strict=True))
        for name in _activate.NAMES
    }
    document = {
        "schema": 1,
        "status": status,
        "version": eventlet_asyncio.__version__,
        "python": {"version": _python(), "executable": sys.executable},
        "variables": {name: os.environ.get(name) for name in _VARIABLES},
        "finder": "disabled" if _activate.is_disabled() else _activate.position(),
        "imports": imports,
        "because": _reason(),
        "checks": [
            check._asdict()
            | {"page": f"{_ERRORS}#{check.code.lower()}" if check.code else ""}
            for check in found
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def _as_text(found: list[Check]) -> str:
    lines = [
        f"eventlet-asyncio {eventlet_asyncio.__version__}",
        f"Python           {_python()} at {sys.executable}",
        *(f"{name} = {_quoted(os.environ.get(name))}" for name in _VARIABLES),
        f"finder           {_position()}",
        *(f"import {name:9} {_answer(name)}" for name in _activate.NAMES),
        f"because          {_reason()}",
    ]
    for check in found:
        if check.state == "ok":
            lines.append(f"ok               {check.name}: {check.evidence}")
            continue
        word = "PROBLEM" if check.state == "problem" else "note"
        parts = [check.evidence, check.effect and f"effect: {check.effect}"]
        parts.append(check.fix and f"fix: {check.fix}")
        if check.code:
            parts.append(f"[{check.code}: {_ERRORS}#{check.code.lower()}]")
        head, *rest = filter(None, parts)
        lines.append(f"{word:16} {check.name}: {head}")
        lines += [f"{'':17}{part}" for part in rest]
    return "\n".join(lines) + "\n"


def _python() -> str:
    return sys.version.split(maxsplit=1)[0]


def _quoted(value: str | None) -> str:
    return "(not set)" if value is None else repr(value)


def _position() -> str:
    """Put the finder's position into words."""
    if _activate.is_disabled():
        return "switched off"
    return {
        "first": "asked before all others",
        "last": "asked when nobody else has the name",
        "absent": "not in use",
    }[_activate.position()]


def _origin(name: str) -> tuple[str | None, str | None]:
    """Return the file that ``import name`` gives, and its distribution."""
    origin = _activate.origin_of(name)
    if origin is None:
        return None, None
    if _activate.is_ours(origin):
        return origin, "eventlet-asyncio"
    from importlib import metadata

    try:
        return origin, f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        return origin, None


def _answer(name: str) -> str:
    """Say what ``import name`` gives, with the distribution it belongs to."""
    origin, distribution = _origin(name)
    if origin is None:
        return "fails: there is no such module"
    whose = distribution or f"a {name} that no installed distribution owns"
    return f"{whose} ({origin})"


def _reason() -> str:
    """Name the rule that decides."""
    hub = os.environ.get(_activate.HUB_VARIABLE)
    if _activate.is_disabled():
        return f"{_activate.DISABLE_VARIABLE} switches eventlet-asyncio off"
    match _activate.position():
        case "first" if hub == "asyncio":
            return f"{_activate.HUB_VARIABLE}=asyncio selects eventlet-asyncio"
        case "first":
            return "this process has called eventlet_asyncio.activate()"
        case "last" if _activate.is_active():
            return "no other eventlet is installed"
        case "last" if hub == "asyncio":
            return f"{_activate.HUB_VARIABLE} was set after Python had started"
        case "last":
            return (
                f"another eventlet is installed, and {_activate.HUB_VARIABLE} "
                "is not asyncio"
            )
        case _:
            return (
                "the start-up file eventlet_asyncio_hook.pth was not read "
                "(python -S, or a site folder that Python does not process)"
            )
