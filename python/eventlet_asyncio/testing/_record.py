"""Loaded into the runs that ``--green-compare`` starts: writes what happened to each test."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from eventlet_asyncio.testing._compare import record_file

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+|\b\d{4,}\b")

_results: dict[str, dict[str, Any]] = {}


def _of(nodeid: str) -> dict[str, Any]:
    return _results.setdefault(
        nodeid,
        {
            "outcome": "passed",
            "exception": None,
            "warnings": [],
            "output": "",
            "leaks": [],
            "duration": 0.0,
        },
    )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Any:
    """Note the outcome of a phase."""
    report = yield
    result = _of(item.nodeid)
    text = report.longreprtext
    if report.when == "teardown" and report.failed and text.startswith("the test"):
        result["leaks"] = sorted(
            line.strip() for line in text.splitlines() if line.startswith("left ")
        )
        return report
    if report.when == "call":
        result["duration"] = round(report.duration, 3)
        result["output"] = report.capstdout
    if not report.passed:
        result["outcome"] = (
            report.outcome
            if report.when == "call"
            else f"{report.when} {report.outcome}"
        )
        if call.excinfo is not None and not report.skipped:
            message = _ADDRESS.sub("...", str(call.excinfo.value).split("\n")[0])
            result["exception"] = f"{call.excinfo.typename}: {message}"[:300]
    return report


def pytest_warning_recorded(warning_message: Any, nodeid: str) -> None:
    """Note a warning."""
    if nodeid:
        kind = warning_message.category.__name__
        text = _ADDRESS.sub("...", str(warning_message.message))
        _of(nodeid)["warnings"].append(f"{kind}: {text}")


def pytest_sessionfinish() -> None:
    """Write it all."""
    path = record_file()
    if path is not None:
        for result in _results.values():
            result["warnings"].sort()
        path.write_text(json.dumps(_results), "utf-8")
