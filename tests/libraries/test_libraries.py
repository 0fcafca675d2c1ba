"""
Libraries of asyncio pass the same of their own tests beside Eventlet as without it.

``LIBRARIES_SOURCES`` names the folder of their unpacked source distributions;
``nox -s libraries`` fetches these. Each suite runs without Eventlet first.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

HERE = Path(__file__).parent
SOURCES = Path(os.environ.get("LIBRARIES_SOURCES", "missing"))

# What each suite is given, and the modes in which its outcomes are to be the same.
SUITES = {
    "aiosqlite": (["aiosqlite/tests/smoke.py"], ("imported", "active", "patched")),
    "anyio": (
        # Its other loops are not ours, and the tests of its plugin start pytest anew.
        ["tests", "-k", "asyncio and not uvloop and not trio",
         "--ignore", "tests/test_pytest_plugin.py", "-p", "no:asyncio"],
        ("imported", "active"),
    ),
    # Not patched: it compares threads, and tasks are threads of their own there.
    "asgiref": (["tests"], ("imported", "active")),
    "janus": (["tests"], ("imported", "active", "patched")),
}  # fmt: skip
# Tests that cannot fare the same, each with its reason.
LEFT_OUT = {
    ("aiosqlite", "patched"): {
        "aiosqlite/tests/smoke.py::SmokeTest::test_multiple_connections": (
            "SQLite waits for the lock of another connection with the whole OS thread, "
            "in which that connection's green thread is"
        ),
    },
}


@pytest.fixture
def budget(budget):
    """Give a suite the time it needs."""
    return type(budget)(600)


def outcomes(report):
    """Read what became of each test."""
    found = {}
    for case in ET.parse(report).iter("testcase"):
        kinds = {part.tag for part in case} & {"failure", "error", "skipped"}
        name = f"{case.get('classname')}::{case.get('name')}"
        found[name] = min(kinds, default="passed")
    return found


@cache
def run(library, mode, folder):
    """Run a library's suite; return the outcome of each test."""
    (source,) = SOURCES.glob(f"{library}-*/")
    arguments, _ = SUITES[library]
    left_out = LEFT_OUT.get((library, mode), {})
    report = folder / f"{library}-{mode}.xml"
    done = subprocess.run(
        [
            sys.executable, "-W", "ignore", "-m", "pytest", "-q",
            "-p", "mode", "-p", "no:cacheprovider", "-p", "no:eventlet_asyncio",
            "-o", "addopts=", "--timeout=60", f"--junitxml={report}", *arguments,
            *(f"--deselect={test}" for test in left_out),
        ],
        cwd=source,
        env=os.environ
        | {
            "EVENTLET_HUB": "asyncio",
            "LIBRARIES_MODE": mode,
            "PYTHONPATH": str(HERE),
        },
        stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        timeout=550,
    )  # fmt: skip
    # 1: some tests have failed, which the comparison judges.
    assert done.returncode in (0, 1), done.stdout[-4000:] + done.stderr[-4000:]
    return outcomes(report)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Give a folder for reports."""
    return tmp_path_factory.mktemp("reports")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(
    ("library", "mode"),
    [(library, mode) for library, (_, modes) in SUITES.items() for mode in modes],
)
def test_outcomes_are_those_without_eventlet(library, mode, folder):
    """No test of the library fares otherwise."""
    if not SOURCES.is_dir():
        pytest.skip("nox -s libraries fetches the sources")
    plain, beside = run(library, "plain", folder), run(library, mode, folder)
    assert list(plain.values()).count("passed") > 20
    left_out = LEFT_OUT.get((library, mode), {})
    names = {test.rpartition("::")[2] for test in left_out}
    differing = {
        name: (plain.get(name), beside.get(name))
        for name in plain.keys() | beside.keys()
        if plain.get(name) != beside.get(name) and name.rpartition("::")[2] not in names
    }
    assert not differing
