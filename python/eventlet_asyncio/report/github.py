"""
Annotations of GitHub Actions: a line of standard output for each finding.

A forge shows ten warnings of a step, so findings that a machine can fix come
first, and a last line says how many there are. What comes from the sources is
escaped as the workflow commands ask for: nothing in a path or a name can end an
annotation or begin a command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from eventlet_asyncio.report.common import fix_text, rule_title

if TYPE_CHECKING:
    from collections.abc import Mapping

_ORDER = {"safe": 0, "unsafe": 1, "manual": 2}


def text(result: Mapping[str, Any]) -> str:
    """Return the commands, one in a line."""
    findings = sorted(result["findings"], key=_ease)
    lines = [_annotation(finding, result) for finding in findings]
    lines += [
        f"::warning file={_property(problem['path'])}"
        + (f",line={problem['line']}" if problem.get("line") else "")
        + f"::{_data(str(problem['reason']))}"
        for problem in result["summary"].get("problems", ())
    ]
    if findings:
        lines.append(f"::notice::{len(findings)} uses of Eventlet")
    return "".join(f"{line}\n" for line in lines)


def _ease(finding: Mapping[str, Any]) -> tuple[Any, ...]:
    """Put what a machine can fix first; then keep the order of files and lines."""
    easiest = min((_ORDER.get(each, 3) for each in finding["fix"].values()), default=3)
    return (finding["confidence"] == "low", easiest)


def _annotation(finding: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    kind = "notice" if finding["confidence"] == "low" else "warning"
    properties = {
        "file": finding["path"],
        "line": finding["line"],
        "endLine": finding["end_line"],
        "col": finding["column"],
        "endColumn": finding["end_column"],
        "title": f"{finding['rule']} {rule_title(finding['rule'], result)}",
    }
    if finding["end_line"] != finding["line"]:
        # Columns are taken for one line only.
        del properties["col"], properties["endColumn"]
    given = ",".join(f"{name}={_property(value)}" for name, value in properties.items())
    message = f"{finding['message']} ({fix_text(finding)})"
    return f"::{kind} {given}::{_data(message)}"


def _data(value: str) -> str:
    return value.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: object) -> str:
    return _data(str(value)).replace(":", "%3A").replace(",", "%2C")
