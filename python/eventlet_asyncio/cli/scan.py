"""``scan``: find what uses Eventlet, in any form, and what that means."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from eventlet_asyncio._activate import coded
from eventlet_asyncio.cli import _engine

if TYPE_CHECKING:
    import argparse

# What the engine prints itself, and what is made from its JSON.
OWN = ("text", "json")
FORMATS = (*OWN, "sarif", "github", "html")


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
    parser.add_argument(
        "--older",
        action="append",
        default=[],
        metavar="FILE",
        help="with --format html: an earlier result (--format json), for the "
        "burn-down; the time of the file is that of the result",
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
    if options.older and options.format != "html":
        told = coded("EA413", "--older belongs to --format html")
        sys.stderr.write(f"eventlet-asyncio scan: {told}\n")
        return 2
    request = _engine.request(
        "scan",
        options,
        format=options.format if options.format in OWN else "json",
        select=words(options.select),
        ignore=words(options.ignore),
        baseline=options.baseline,
        baseline_file=options.baseline_file,
        strict=options.strict,
        evidence=options.evidence,
    )
    if options.format in OWN:
        return _engine.answer(request)
    return _render(options, request)


def _render(options: argparse.Namespace, request: dict[str, Any]) -> int:
    """Scan, and print the result in a form that the engine does not know."""
    import json

    from eventlet_asyncio import report

    status, out, err = _engine.ask(request)
    sys.stderr.write(err)
    try:
        result = json.loads(out)
    except ValueError:
        # Nothing was scanned: what there is to say is no result.
        _engine.write(out)
        return status
    plan = _plan(request) if options.format == "html" else None
    try:
        text = report.render(options.format, result, older=options.older, plan=plan)
    except (OSError, report.ResultError) as error:
        sys.stderr.write(f"eventlet-asyncio scan: {error}\n")
        return 2
    _engine.write(text)
    return status


def _plan(request: dict[str, Any]) -> dict[str, Any] | None:
    """Ask for the plan of the same tree, as the page's graph; None if there is none."""
    import json

    kept = ("paths", "folder", "target", "config", "color", "cache", "version")
    wanted = {key: request[key] for key in kept} | {"command": "plan", "format": "json"}
    _, out, _ = _engine.ask(wanted | {"evidence": request["evidence"]})
    try:
        return graph(json.loads(out))
    except ValueError:
        return None


def graph(plan: dict[str, Any]) -> dict[str, Any]:
    """
    Turn a plan into columns and lines: what `eventlet_asyncio.report` takes.

    A column has the functions whose callees all lie to the left of it; a line goes
    from a step to each that it comes after.
    """
    columns: dict[int, int] = {}
    first: dict[int, int] = {}
    nodes: list[list[Any]] = []
    edges: list[list[int]] = []
    for step in plan["steps"]:
        number, after = step["step"], step["after"]
        columns[number] = 1 + max((columns[each] for each in after), default=0)
        first[number] = len(nodes)
        note = ", ".join(step["switches"])
        nodes += [[one["name"], columns[number], note] for one in step["functions"]]
        edges += [[first[number], first[each]] for each in after]
    return {"nodes": nodes, "edges": edges}
