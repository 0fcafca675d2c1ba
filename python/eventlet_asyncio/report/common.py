"""What the forms share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

RULES_PAGE = "docs/reference/rules.md"
TARGETS = ("asyncio", "threads")


def rule_title(rule: str, result: Mapping[str, Any]) -> str:
    """Return what a rule finds, in a few words."""
    entry = result.get("rules", {}).get(rule, {})
    return str(entry.get("title") or rule)


def fix_text(finding: Mapping[str, Any]) -> str:
    """Say how a finding can be changed, for each target."""
    fix = finding["fix"]
    return ", ".join(f"{target}: {fix[target]}" for target in TARGETS if target in fix)


def address(path: str) -> str:
    """Return a path as a relative reference; bytes that are no text stay what they are."""
    return quote(path, errors="surrogateescape")
