"""``--green-compare``: the same tests on several hubs, and what differs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest

from eventlet_asyncio.testing._hubs import UnknownHubError, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What is compared, in the order in which it is told.
ASPECTS = ("outcome", "exception", "warnings", "output", "leaks", "duration")
# A test is slower if it takes this many times as long, and by so many seconds more.
_SLOWER = 3.0
_SECONDS = 0.2
_RECORD = "EVENTLET_ASYNCIO_COMPARE_RECORD"


class Comparison:
    """A run of pytest that runs others, and compares them."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._hubs = [
            hub.strip() for hub in config.getoption("green_compare").split(",")
        ]
        try:
            for hub in self._hubs:
                environment(hub)
        except UnknownHubError as error:
            raise pytest.UsageError(f"--green-compare: {error}") from None
        if len(set(self._hubs)) < 2:
            message = "--green-compare takes two hubs or more, as ours,upstream:epolls"
            raise pytest.UsageError(message)
        self._rows: list[dict[str, Any]] = []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Run every module on each hub, in processes of their own."""
        modules: dict[str, list[str]] = {}
        for item in session.items:
            modules.setdefault(str(item.path), []).append(item.nodeid)
        seen: dict[str, dict[str, Any]] = {hub: {} for hub in self._hubs}
        for names in modules.values():
            for hub in self._hubs:
                seen[hub].update(self._run(hub, names))
        for item in session.items:
            self._rows.append(self._compare(item, seen))
        session.testsfailed = sum(bool(row["differs"]) for row in self._rows)
        self._write()
        return True

    def _run(self, hub: str, names: list[str]) -> dict[str, Any]:
        with tempfile.TemporaryDirectory() as folder:
            record = Path(folder) / "record.json"
            words = [sys.executable, "-m", "pytest", f"--green-hub={hub}", "-q", "-q"]
            words += ["-p", "eventlet_asyncio.testing._record", *self._options()]
            done = subprocess.run(
                [*words, *names],
                cwd=self._config.invocation_params.dir,
                env={**environment(hub), _RECORD: str(record)},
                capture_output=True,
                text=True,
                check=False,
            )
            if record.exists():
                found: dict[str, Any] = json.loads(record.read_text("utf-8"))
                return found
            reason = (done.stderr or done.stdout).strip()[-1000:]
            crash = {
                "outcome": "crashed",
                "exception": f"status {done.returncode}: {reason}",
            }
            return dict.fromkeys(names, crash)

    def _options(self) -> list[str]:
        """Return what of this run's options concerns how tests are found and run."""
        words = ["--rootdir", str(self._config.rootpath)]
        if self._config.inipath is not None:
            words += ["-c", str(self._config.inipath)]
        for plugin in self._config.getoption("plugins") or ():
            words += ["-p", plugin]
        return words

    def _compare(
        self, item: pytest.Item, seen: dict[str, dict[str, Any]]
    ) -> dict[str, Any]:
        results = {
            hub: seen[hub].get(item.nodeid, {"outcome": "not run"})
            for hub in self._hubs
        }
        first, *others = results.values()
        differs = [
            aspect
            for aspect in ASPECTS
            if any(_differ(aspect, first, other) for other in others)
        ]
        marker = item.get_closest_marker("green_differs")
        accepted: list[str] = []
        reason = None
        if marker is not None:
            reason = marker.kwargs.get("reason", marker.args[0] if marker.args else "")
            expect = marker.kwargs.get("expect")
            allowed = (
                ASPECTS
                if expect is None
                else (expect,)
                if isinstance(expect, str)
                else expect
            )
            accepted = [aspect for aspect in differs if aspect in allowed]
            differs = [aspect for aspect in differs if aspect not in allowed]
        return {
            "test": item.nodeid,
            "differs": differs,
            "accepted": accepted,
            "reason": reason,
            "results": results,
        }

    def _write(self) -> None:
        path = self._config.getoption("green_compare_json")
        if path is not None:
            document = {"schema": 1, "hubs": self._hubs, "tests": self._rows}
            Path(path).write_text(json.dumps(document, indent=1) + "\n", "utf-8")
        path = self._config.getoption("xmlpath", None)
        if path is not None:
            Path(path).write_bytes(self._junit())
            # pytest's own report knows nothing of what ran elsewhere.
            reporter = self._config.pluginmanager.get_plugin("logxml") or next(
                (
                    plugin
                    for plugin in self._config.pluginmanager.get_plugins()
                    if type(plugin).__name__ == "LogXML"
                ),
                None,
            )
            if reporter is not None:
                self._config.pluginmanager.unregister(reporter)

    def _junit(self) -> bytes:
        failures = sum(bool(row["differs"]) for row in self._rows)
        suite = ET.Element(
            "testsuite",
            name="green-compare",
            tests=str(len(self._rows)),
            failures=str(failures),
        )
        for row in self._rows:
            classname, _, name = row["test"].rpartition("::")
            case = ET.SubElement(suite, "testcase", classname=classname, name=name)
            if row["differs"]:
                told = ET.SubElement(case, "failure", message=", ".join(row["differs"]))
                told.text = "\n".join(_lines(row, self._hubs))
        root = ET.Element("testsuites")
        root.append(suite)
        data: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
        return data

    @pytest.hookimpl
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the table."""
        out = terminalreporter
        out.section("differences between hubs")
        differing = [row for row in self._rows if row["differs"]]
        for row in differing:
            out.write_line(f"{row['test']}: {', '.join(row['differs'])}")
            for line in _lines(row, self._hubs):
                out.write_line(f"    {line}")
        accepted = sum(bool(row["accepted"]) for row in self._rows)
        out.write_line(
            f"{len(self._rows)} tests on {', '.join(self._hubs)}:"
            f" {len(differing)} differ, {accepted} as accepted"
        )


def _differ(aspect: str, first: dict[str, Any], other: dict[str, Any]) -> bool:
    one, two = first.get(aspect), other.get(aspect)
    if aspect == "duration":
        short, long = sorted((one or 0.0, two or 0.0))
        return long - short > _SECONDS and long > short * _SLOWER
    return one != two


def _lines(row: dict[str, Any], hubs: list[str]) -> Iterator[str]:
    for aspect in row["differs"]:
        for hub in hubs:
            yield f"{aspect} on {hub}: {_shown(row['results'][hub].get(aspect))}"


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f} s"
    text = "nothing" if value in (None, [], "") else str(value)
    return text if len(text) <= 300 else f"{text[:300]}..."


def record_file() -> Path | None:
    """Return the file that a run under comparison writes to."""
    name = os.environ.get(_RECORD)
    return None if name is None else Path(name)
