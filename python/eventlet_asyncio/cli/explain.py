"""``explain``: what a rule finds, and the code before, on the way and after."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlet_asyncio.cli import _engine

if TYPE_CHECKING:
    import argparse


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.description = (
        "Print what a rule finds, why, and the code before, on the "
        "way and after, for both targets. Without a rule: list them all."
    )
    parser.add_argument("rules", nargs="*", metavar="RULE")
    parser.add_argument(
        "--format", choices=("text", "json", "markdown"), default="text"
    )


def run(options: argparse.Namespace) -> int:
    """Print the rules; 2 if there is no such rule."""
    return _engine.answer(
        {"command": "explain", "rules": options.rules, "format": options.format}
    )
