"""A short run of the differential fuzzers; ``nox -s differential`` is the long one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
#: Names a folder with upstream's packages, which the session of the tests installs.
UPSTREAM = os.environ.get("DIFFERENTIAL_UPSTREAM")


def differential(*arguments):
    """Run the program; return its exit status and what it said."""
    done = subprocess.run(
        [sys.executable, HERE, *arguments],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def run(kind, tmp_path, *arguments):
    """Run some programs; return the result, whose findings must be none."""
    out = tmp_path / "findings.json"
    status, said = differential(
        kind, "--seeds", "0:60", "--seconds", "120", "--json", str(out), *arguments
    )
    result = json.loads(out.read_text())
    assert result["findings"] == [], said
    assert status == 0, said
    assert result["programs"] > 0
    return result


@pytest.mark.timeout(300)
@pytest.mark.skipif(not UPSTREAM, reason="DIFFERENTIAL_UPSTREAM names no folder")
def test_green_programs_do_as_upstream(tmp_path):
    run("green", tmp_path, "--upstream", UPSTREAM)


@pytest.mark.timeout(300)
@pytest.mark.skipif(sys.version_info < (3, 11), reason="programs use TaskGroup")
def test_tasks_do_as_under_plain_asyncio(tmp_path):
    run("tasks", tmp_path)


@pytest.mark.timeout(300)
@pytest.mark.skipif(not UPSTREAM, reason="DIFFERENTIAL_UPSTREAM names no folder")
def test_a_difference_is_found_and_made_small(tmp_path):
    """A known one, lifted: a failing link and the links behind it."""
    program = {
        "family": "core",
        "objs": {},
        "bodies": {"b0": []},
        "main": [
            ["spawn", 0, "b0", "spawn", 0],
            ["link", 0, 0, "raise"],
            ["link", 0, 1, "log"],
            ["sleep", 0],
        ],
    }
    file = tmp_path / "program.json"
    file.write_text(json.dumps(program))
    arguments = ("green", "--program", str(file), "--upstream", UPSTREAM)
    status, said = differential(*arguments)
    assert status == 0, said
    status, said = differential(*arguments, "--lift", "link-errors")
    assert status == 1, said


def test_the_program_of_a_seed_is_always_the_same():
    for kind in ("green", "tasks"):
        shown = [differential(kind, "--show", "17") for _ in range(2)]
        assert shown[0] == shown[1]
        assert shown[0][0] == 0


def test_known_differences_have_reasons():
    status, said = differential("green", "--known")
    assert status == 0
    for line in said.splitlines():
        name, _, reason = line.partition(": ")
        assert name, line
        assert len(reason) > 20, line
