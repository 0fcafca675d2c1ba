"""
One page with everything: overview, burn-down, plan, and a table of findings.

The page is one file that needs no network and may not use one: its policy
(``default-src 'none'``) names the two blocks of style and script by their
hashes. Whatever comes from the scanned tree reaches it as JSON, in which ``<``,
``>`` and ``&`` are written as escapes, and is shown through text nodes. A text
that occurs often is written once, so that 2,000 findings stay below 300 kB.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eventlet_asyncio.report.common import TARGETS, rule_title

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_HERE = Path(__file__).parent
_FIXES = ("safe", "unsafe", "manual", "")
# As many functions as a graph can show.
_NODES = 300


def text(
    result: Mapping[str, Any],
    *,
    older: Iterable[tuple[float, Mapping[str, Any]]] = (),
    plan: Mapping[str, Any] | None = None,
    base: str = "",
    now: float | None = None,
) -> str:
    """
    Return the page.

    Args:
        result: Of ``scan``.
        older: Earlier results, each with the time (seconds since 1970) it is of.
        plan: ``{"nodes": [[name, step, note], ...], "edges": [[from, to], ...],
            "left_out": number}``, numbers counting nodes from 0.
        base: What stands before a path in links; empty for a page that lies in
            the folder that was scanned.
        now: When the result is of; the present by default.
    """
    moment = time.time() if now is None else now
    script = _part("page.js")
    style = _part("page.css")
    data = json.dumps(
        _data(result, list(older), plan, base, moment),
        ensure_ascii=False,
        separators=(",", ":"),
    )
    policy = (
        f"default-src 'none'; script-src '{_hash(script)}'; "
        f"style-src '{_hash(style)}'; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "CSP": policy,
        "CSS": style,
        "ABOUT": html.escape(_about(result, moment)),
        "TILES": _tiles(result),
        "DATA": _harmless(data),
        "JS": script,
    }
    # In one pass: what is filled in is not looked through again.
    first, *rest = _part("page.html").split("@")
    page = [first]
    for index, piece in enumerate(rest):
        page.append(parts[piece] if index % 2 == 0 else piece)
    return "".join(page)


def _part(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")


def _hash(block: str) -> str:
    digest = hashlib.sha256(block.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"


def _harmless(data: str) -> str:
    """Write JSON so that HTML sees nothing in it, and no line ends in it."""
    for character in "<>&\u2028\u2029":
        data = data.replace(character, f"\\u{ord(character):04x}")
    # What UTF-8 cannot carry: bytes of paths that were no text.
    return data.encode("utf-8", "backslashreplace").decode()


def _about(result: Mapping[str, Any], moment: float) -> str:
    summary = result["summary"]
    return (
        f"{summary['files']} files with {summary['lines']} lines, target "
        f"{result.get('target', 'both')}, {_day(moment)}, eventlet-asyncio "
        f"{result['tool']['version']}"
    )


def _tiles(result: Mapping[str, Any]) -> str:
    findings = result["findings"]
    tests = sum(bool(finding.get("test")) for finding in findings)
    tiles = [
        ("uses", len(findings)),
        ("in production code", len(findings) - tests),
        ("in tests", tests),
        ("through a façade", sum(bool(finding.get("via")) for finding in findings)),
    ]
    tiles += [
        (
            f"to {target}: safe rewrites",
            sum(finding["fix"].get(target) == "safe" for finding in findings),
        )
        for target in TARGETS
        if result.get("target", "both") in (target, "both")
    ]
    problems = result["summary"].get("problems", ())
    if problems:
        tiles.append(("files not understood", len(problems)))
    return "".join(
        f'<div class="tile"><b>{number}</b>{html.escape(name)}</div>'
        for name, number in tiles
    )


class _Texts:
    """Texts, each once, by number."""

    def __init__(self) -> None:
        self.all: list[str] = []
        self._known: dict[str, int] = {}

    def __call__(self, value: object) -> int:
        value = str(value)
        if value not in self._known:
            self._known[value] = len(self.all)
            self.all.append(value)
        return self._known[value]


def _data(
    result: Mapping[str, Any],
    older: list[tuple[float, Mapping[str, Any]]],
    plan: Mapping[str, Any] | None,
    base: str,
    moment: float,
) -> dict[str, Any]:
    texts = _Texts()
    rows = [_row(finding, texts) for finding in result["findings"]]
    history = [(when, len(each["findings"])) for when, each in older]
    history.append((moment, len(result["findings"])))
    return {
        "base": base,
        "history": [[_day(when), number, when] for when, number in sorted(history)],
        "plan": _shortened(plan),
        "rows": rows,
        "rules": {
            rule: rule_title(rule, result)
            for rule in sorted({finding["rule"] for finding in result["findings"]})
        },
        "texts": texts.all,
    }


def _row(finding: Mapping[str, Any], texts: _Texts) -> list[int]:
    fix = finding["fix"]
    return [
        texts(finding["rule"]),
        texts(finding["path"]),
        finding["line"],
        finding["column"],
        texts(finding["function"]),
        texts(finding["symbol"]),
        texts(", ".join(finding.get("via", ()))),
        int(finding["confidence"] == "low"),
        *(
            _FIXES.index(fix.get(target, "") if fix.get(target) in _FIXES else "")
            for target in TARGETS
        ),
        # The page puts rule and symbol together itself.
        texts(_rest_of_message(finding)),
        int(bool(finding.get("test"))),
        texts(_package(finding)),
        texts(_seen(finding)),
    ]


def _rest_of_message(finding: Mapping[str, Any]) -> str:
    message = str(finding["message"])
    return "" if message.endswith(f": {finding['symbol']}") else message


def _package(finding: Mapping[str, Any]) -> str:
    """Return the folder of a finding, at most three deep, as a dotted name."""
    parts = finding["path"].split("/")[:-1]
    for top in ("src", "lib", "python"):
        if parts[:1] == [top] and len(parts) > 1:
            parts = parts[1:]
    return ".".join(parts[:3]) or "(top)"


def _seen(finding: Mapping[str, Any]) -> str:
    """Return what evidence says of a finding, if any was given."""
    evidence = finding.get("evidence")
    if isinstance(evidence, dict):
        evidence = evidence.get("state") or evidence.get("status")
    return str(evidence) if evidence else ""


def _shortened(plan: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    nodes = list(plan["nodes"])[:_NODES]
    return {
        "nodes": nodes,
        "edges": [
            [source, target]
            for source, target in plan["edges"]
            if source < len(nodes) and target < len(nodes)
        ],
        "left_out": len(plan["nodes"]) - len(nodes) + plan.get("left_out", 0),
    }


def _day(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
