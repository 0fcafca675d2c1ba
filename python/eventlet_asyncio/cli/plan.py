"""``plan``: in which order functions change, and where a bridge costs least."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlet_asyncio.cli import _engine

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.description = (
        "Print the functions that have to change, each after all that it calls, "
        "with the shortest way to where it switches, and the cuts at which a "
        "bridge costs least. The exit status is 1 if there is something to do."
    )
    _engine.add_common(parser)
    parser.add_argument(
        "--from",
        dest="start",
        default="",
        metavar="MODULE:NAME",
        help="only this function, or this class's methods, and what they call",
    )
    parser.add_argument(
        "--entry",
        action="append",
        default=[],
        metavar="MODULE",
        help="only what runs in the process that starts with this module",
    )
    parser.add_argument(
        "--format", choices=("text", "json", "dot", "md"), default="text"
    )
    parser.add_argument(
        "--evidence",
        action="append",
        default=[],
        metavar="FILE",
        help="what runs of the program have shown",
    )


def run(options: argparse.Namespace) -> int:
    """Print the plan; 0 if nothing has to change, 1 if something has."""
    more = {
        "from": options.start,
        "entry": options.entry,
        "format": options.format,
        "evidence": options.evidence,
    }
    return _engine.answer(_engine.request("plan", options, **more))
