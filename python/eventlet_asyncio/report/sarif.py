"""
SARIF 2.1.0, the format that forges and editors take findings in.

Written by the standard's text (OASIS, SARIF 2.1.0 with errata 01); a test
validates it with the official JSON schema.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from eventlet_asyncio.report.common import RULES_PAGE, address, fix_text, rule_title

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/"
    "sarif-schema-2.1.0.json"
)


def text(result: Mapping[str, Any]) -> str:
    """Return the SARIF file's text."""
    return json.dumps(document(result), indent=1) + "\n"


def document(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return the SARIF log of one run."""
    findings = result["findings"]
    rules = sorted({finding["rule"] for finding in findings})
    index = {rule: number for number, rule in enumerate(rules)}
    seen: dict[tuple[str, ...], int] = {}
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "eventlet-asyncio",
                        "version": result["tool"]["version"],
                        "rules": [_rule(rule, result) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {
                    "ROOT": {"description": {"text": "The folder that was scanned."}}
                },
                "results": [_result(finding, index, seen) for finding in findings],
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            _notification(problem)
                            for problem in result["summary"].get("problems", ())
                        ],
                    }
                ],
            }
        ],
    }


def _rule(rule: str, result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": rule,
        "name": rule,
        "shortDescription": {"text": rule_title(rule, result)},
        "help": {
            "text": f"eventlet-asyncio explain {rule}",
            "markdown": f"`eventlet-asyncio explain {rule}`, or `{RULES_PAGE}`",
        },
        "defaultConfiguration": {"level": "warning"},
    }


def _result(
    finding: Mapping[str, Any],
    index: Mapping[str, int],
    seen: dict[tuple[str, ...], int],
) -> dict[str, Any]:
    where = finding["function"]
    # Without line numbers, so that a forge knows a finding again that has moved;
    # several of a kind in one function are told apart by their order.
    key = (finding["rule"], finding["symbol"], finding["path"], where)
    seen[key] = ordinal = seen.get(key, 0) + 1
    print_of = hashlib.sha256(
        "\0".join([*key, str(ordinal)]).encode("utf-8", "surrogatepass")
    ).hexdigest()
    return {
        "ruleId": finding["rule"],
        "ruleIndex": index[finding["rule"]],
        "level": "note" if finding["confidence"] == "low" else "warning",
        "message": {"text": finding["message"]},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {
                        "uri": address(finding["path"]),
                        "uriBaseId": "ROOT",
                    },
                    "region": {
                        "startLine": finding["line"],
                        "startColumn": finding["column"],
                        "endLine": finding["end_line"],
                        "endColumn": finding["end_column"],
                    },
                },
                "logicalLocations": [{"fullyQualifiedName": where, "kind": "function"}],
            }
        ],
        "partialFingerprints": {"eventletUse/v1": print_of},
        "properties": {
            "symbol": finding["symbol"],
            "via": list(finding.get("via", ())),
            "confidence": finding["confidence"],
            "fix": dict(finding["fix"]),
            "fixText": fix_text(finding),
        },
    }


def _notification(problem: Mapping[str, Any]) -> dict[str, Any]:
    location: dict[str, Any] = {"artifactLocation": {"uri": address(problem["path"])}}
    if problem.get("line"):
        location["region"] = {"startLine": problem["line"]}
    return {
        "level": "warning",
        "message": {"text": str(problem["reason"])},
        "locations": [{"physicalLocation": location}],
    }
