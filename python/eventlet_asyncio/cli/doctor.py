"""
``doctor``: say which eventlet and greenlet this interpreter loads, and why.

It answers from the import system without importing either, so that it also
works where the import would fail, and the answer cannot depend on the asking.
"""

from __future__ import annotations

import os
import sys
from importlib import metadata
from typing import TYPE_CHECKING

import eventlet_asyncio
from eventlet_asyncio import _activate

if TYPE_CHECKING:
    import argparse

_VARIABLES = (_activate.HUB_VARIABLE, _activate.DISABLE_VARIABLE)


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.description = (
        "Print which eventlet and greenlet this interpreter loads, and why. "
        "The exit status is 1 if the two do not belong together."
    )


def run(_options: argparse.Namespace) -> int:
    """
    Print the report.

    Returns:
        0, or 1 if what loads is a mixture or is not what was asked for.
    """
    problem = _problem()
    lines = [
        f"eventlet-asyncio {eventlet_asyncio.__version__}",
        f"Python           {sys.version.split()[0]} at {sys.executable}",
        *(f"{name} = {_quoted(os.environ.get(name))}" for name in _VARIABLES),
        f"finder           {_position()}",
        *(f"import {name:9} {_answer(name)}" for name in _activate.NAMES),
        f"because          {_reason()}",
    ]
    if problem is not None:
        lines.append(f"PROBLEM          {problem}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if problem is None else 1


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


def _answer(name: str) -> str:
    """Say what ``import name`` gives, with the distribution it belongs to."""
    origin = _activate.origin_of(name)
    if origin is None:
        return "fails: there is no such module"
    if _activate.is_ours(origin):
        return f"eventlet-asyncio ({origin})"
    try:
        installed = f"{name} {metadata.version(name)}"
    except metadata.PackageNotFoundError:
        installed = f"a {name} that no installed distribution owns"
    return f"{installed} ({origin})"


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


def _problem() -> str | None:
    """Find what would go wrong, and how to mend it."""
    eventlet, greenlet = (
        _activate.is_ours(_activate.origin_of(name)) for name in _activate.NAMES
    )
    selected = os.environ.get(_activate.HUB_VARIABLE) == "asyncio"
    if selected and not _activate.is_disabled() and not (eventlet and greenlet):
        return (
            "eventlet-asyncio is selected but does not load: reinstall it, or "
            "call eventlet_asyncio.activate() where Python runs with -S"
        )
    if eventlet != greenlet:
        return (
            "the two come from different distributions, which cannot be mixed: "
            "the one that is imported second fails. Set EVENTLET_HUB=asyncio, "
            "or install the other half of the pair"
        )
    return None
