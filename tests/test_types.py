"""Type checkers know ``eventlet`` by the stubs that are installed beside it."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("mypy", reason="mypy is in the dependency group lint")

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "typing"
OVERLAY = ROOT / "python" / "eventlet_asyncio" / "_overlay" / "eventlet"
EXPORTS = runpy.run_path(str(ROOT / "tests" / "test_exports.py"))


@pytest.fixture
def check(tmp_path):
    """Run mypy as a user does; give (line, kind) of what it refuses."""

    def run(path, *options):
        command = [sys.executable, "-m", "mypy", "--config-file=", *options, str(path)]
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "MYPY_CACHE_DIR": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {0, 1}, done.stdout + done.stderr
        found = re.findall(
            r"^[^:\n]+:(\d+): error: .*\[([\w-]+)\]$", done.stdout, re.MULTILINE
        )
        return [(int(line), kind) for line, kind in found]

    return run


def test_program_is_accepted_in_strict_mode(check):
    """Whoever checks strictly need not say what Eventlet's names are."""
    assert check(PROGRAMS / "accepted.py", "--strict") == []


def test_mistakes_are_found(check):
    """A wrong argument, a forgotten one and an unknown name are told."""
    program = PROGRAMS / "refused.py"
    lines = program.read_text().splitlines()
    expected = [
        (number, line.partition("# error: ")[2])
        for number, line in enumerate(lines, 1)
        if "# error: " in line
    ]
    assert len(expected) == 23
    assert check(program) == expected


def test_page_shows_what_is_refused(check, tmp_path):
    """The example of the documentation has one mistake, and says where."""
    page = (ROOT / "docs" / "howto" / "check-types.md").read_text()
    (block, *_) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    program = tmp_path / "shown.py"
    program.write_text(block)
    lines = block.splitlines()
    (refused,) = (n for n, line in enumerate(lines, 1) if "refused" in line)
    assert check(program) == [(refused, "arg-type")]


EXAMPLES = sorted((ROOT / "docs").glob("*/*.py"))
NEEDS = {"eventlet_in_fastapi.py": ("fastapi", "uvicorn")}


def examples():
    """List the programs of the documentation whose libraries are installed."""
    return [
        path
        for path in EXAMPLES
        if all(importlib.util.find_spec(name) for name in NEEDS.get(path.name, ()))
    ]


def test_examples_are_typed_for_mypy(check):
    """The programs of the documentation show how typed code looks."""
    assert len(examples()) > 5
    assert {path.name: check(path, "--strict") for path in examples()} == {
        path.name: [] for path in examples()
    }


def test_programs_are_typed_for_pyright(tmp_path):
    """The other type checker agrees: on the programs, and on what it is told there."""
    pytest.importorskip("basedpyright", reason="it is in the dependency group lint")
    programs = [*examples(), PROGRAMS / "accepted.py"]
    for path in programs:
        shutil.copy(path, tmp_path)
    settings = {"typeCheckingMode": "strict", "reportMissingModuleSource": "none"}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    command = [sys.executable, "-m", "basedpyright", "--outputjson"]
    done = subprocess.run(
        [*command, "--pythonpath", sys.executable],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    told = json.loads(done.stdout)
    assert told["summary"]["filesAnalyzed"] == len(programs)
    assert [
        f"{Path(found['file']).name}:{found['range']['start']['line'] + 1}"
        f" {found['message']}"
        for found in told["generalDiagnostics"]
    ] == []


def test_all_modules_and_names_are_known(check, tmp_path):
    """What upstream offers, and what we add, can be imported in checked code."""
    lines = []
    for path in sorted(OVERLAY.rglob("*.py")):
        parts = ["eventlet", *path.relative_to(OVERLAY).with_suffix("").parts]
        lines.append("import " + ".".join(part for part in parts if part != "__init__"))
    for module in EXPORTS["MODULES"]:
        left_out = EXPORTS["LEFT_OUT"].get(module, {})
        if module.startswith("eventlet"):
            for name in EXPORTS["NAMES"][module]:
                if name not in left_out:
                    lines.append(f"from {module} import {name} as name_{len(lines)}")
    program = tmp_path / "names.py"
    program.write_text("\n".join(lines))
    assert [lines[line - 1] for line, _ in check(program)] == []


def test_stubs_are_those_of_the_overlay():
    """Whoever changes what a module defines writes the stubs anew."""
    command = [sys.executable, str(ROOT / "tools" / "stubs.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stderr == ""
