"""``scan``: find what uses Eventlet, in any form, and what that means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eventlet_asyncio.cli import _engine

if TYPE_CHECKING:
    import argparse

FORMATS = ("text", "json")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.description = (
        "Find every use of Eventlet, in any form, without importing "
        "the code. The exit status is 0 if there is none, 1 if there are some, "
        "2 if the question was wrong."
    )
    _engine.add_common(parser)
    parser.add_argument(
        "--format", choices=FORMATS, default="text", help="default: text"
    )
    for name, help_text in (
        ("--select", "only these rules: EV102, EV1, or a group such as sleep"),
        ("--ignore", "all rules but these"),
    ):
        parser.add_argument(
            name, action="append", default=[], metavar="RULES", help=help_text
        )
    parser.add_argument(
        "--baseline",
        choices=("write", "check"),
        default="",
        help="keep the findings of today; or report only what is new since then",
    )
    parser.add_argument(
        "--baseline-file",
        metavar="FILE",
        help="where; default: .eventlet-baseline.json in the current folder",
    )
    parser.add_argument(
        "--strict",
        action="store_true",
        help="with --baseline check: fail on entries that have gone, too",
    )
    parser.add_argument(
        "--evidence",
        action="append",
        default=[],
        metavar="FILE",
        help="what runs of the program have shown",
    )


def words(values: list[str]) -> list[str]:
    """Split rules that are given with commas."""
    return [word for value in values for word in value.replace(",", " ").split()]


def run(options: argparse.Namespace) -> int:
    """Scan, print, and return the exit status."""
    return _engine.answer(
        _engine.request(
            "scan",
            options,
            format=options.format,
            select=words(options.select),
            ignore=words(options.ignore),
            baseline=options.baseline,
            baseline_file=options.baseline_file,
            strict=options.strict,
            evidence=options.evidence,
        )
    )
