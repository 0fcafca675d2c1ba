"""``scan``: what is found, what is not, and how it is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def cli(*arguments, cwd, env=None):
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
        timeout=60,
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
