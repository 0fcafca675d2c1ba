"""``scan``: what is found, what is not, and how it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def cli(*arguments, cwd, env=None, timeout=60):
    """Run the command line without activation, as from an environment of its own."""
    environment = {**os.environ, **(env or {})}
    environment.pop("EVENTLET_HUB", None)
    return subprocess.run(
        [sys.executable, "-m", "eventlet_asyncio", *arguments],
        cwd=cwd,
        env=environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=timeout,
    )


def scan(folder, *arguments):
    """Scan a folder; return the JSON document."""
    done = cli("scan", "--no-cache", "--format", "json", *arguments, ".", cwd=folder)
    assert done.returncode in {0, 1}, done.stderr
    return json.loads(done.stdout)


def write_tree(text, folder):
    """Write a tree of files; return what is to be found: (path, line, rule, symbol)."""
    expected, path, number = set(), None, 0
    lines = {}
    for line in text.splitlines():
        if line.startswith("=== "):
            path, number = line[4:], 0
            lines[path] = []
        elif path is not None:
            number += 1
            code, _, marks = line.partition("#>")
            lines[path].append(code.rstrip() if marks else line)
            for mark in marks.split(";") if marks else ():
                rule, symbol = mark.split()
                expected.add((path, number, rule, symbol))
    for name, content in lines.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\n".join(content) + "\n")
    return expected


def explicit(document):
    """Return the findings that are no implicit switch points and no hazards."""
    return {
        (f["path"], f["line"], f["rule"], f["symbol"])
        for f in document["findings"]
        if f["kind"] not in {"implicit", "hazard"}
    }


def test_every_form_is_found_and_no_decoy(tmp_path):
    """All forms of a use, each once, and nothing else."""
    expected = write_tree((HERE / "forms.txt").read_text(), tmp_path)
    found = explicit(scan(tmp_path))
    assert expected - found == set(), "missed"
    assert found - expected == set(), "false"


def test_folder_that_is_named_is_read_although_git_ignores_it(tmp_path):
    """As an environment's folder inside a checkout is."""
    (tmp_path / ".gitignore").write_text("/ignored/\n")
    inside = tmp_path / "ignored" / "app"
    inside.mkdir(parents=True)
    (inside / "main.py").write_text("import eventlet\neventlet.sleep(1)\n")
    assert scan(tmp_path)["findings"] == []
    assert [found["line"] for found in scan(inside)["findings"]] == [2]


@pytest.mark.timeout(320)
def test_nothing_is_found_where_there_is_no_eventlet():
    """The standard library, hundreds of thousands of lines, has none."""
    library = sysconfig.get_path("stdlib")
    scanned = ("scan", "--no-cache", "--format", "json", library)
    done = cli(*scanned, cwd=library, timeout=300)
    document = json.loads(done.stdout)
    assert document["summary"]["lines"] > 200_000
    # Its tests have files that no parser shall read.
    found = [each for each in document["findings"] if each["rule"] != "EV001"]
    assert [each for each in found if "site-packages" not in each["path"]] == []


def test_a_command_of_the_project_is_an_entry(tmp_path):
    """What is patched counts for the processes that start there, and no others."""
    (tmp_path / "app").mkdir()
    for name, text in {
        "__init__.py": "",
        "green.py": "import eventlet\neventlet.monkey_patch()\nfrom app import work\n",
        "plain.py": "from app import tool\n",
        "work.py": "import eventlet\nimport time\neventlet.sleep(1)\ntime.sleep(1)\n",
        "tool.py": "import time\ntime.sleep(1)\n",
    }.items():
        (tmp_path / "app" / name).write_text(text)

    def implicit():
        found = scan(tmp_path)["findings"]
        return [each["path"] for each in found if each["kind"] == "implicit"]

    assert implicit() == ["app/tool.py", "app/work.py"]
    (tmp_path / "pyproject.toml").write_text(
        "[project.scripts]\ngreen = 'app.green:main'\nplain = 'app.plain:main'\n"
    )
    assert implicit() == ["app/work.py"]
    for entry in ("green", "app.green", "app/green.py", "app.green:main"):
        done = cli("plan", "--entry", entry, cwd=tmp_path)
        assert done.returncode in {0, 1}, done.stderr
    done = cli("plan", "--entry", "purple", cwd=tmp_path)
    assert done.returncode == 2
    assert "commands green, plain" in done.stderr
    assert "EA425" in done.stderr
