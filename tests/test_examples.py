"""The documentation's programs do what the pages around them say."""

from __future__ import annotations

import ast
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
# What only type checkers see is imported by nobody.
NO_PACKAGES = {"__future__", "_typeshed.wsgi"}
EXAMPLES = sorted(path for path in DOCS.glob("*/*.py"))


def packages(program):
    """List what a program imports, by the names of the packages."""
    for node in ast.walk(ast.parse(program.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module not in NO_PACKAGES:
            yield node.module.split(".")[0]


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda path: path.stem)
def test_example_runs(program, run_isolated):
    """Without arguments an example runs to its end by itself, and complains of nothing."""
    missing = {
        name
        for name in packages(program)
        if name not in sys.stdlib_module_names and find_spec(name) is None
    }
    if missing:
        pytest.skip(f"needs {', '.join(sorted(missing))}")
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert done.stderr == ""


@pytest.mark.parametrize("program", EXAMPLES, ids=lambda path: path.stem)
def test_example_is_shown_whole(program):
    """Each example has its page, and the marks that the page names are in it."""
    page = program.with_name(program.stem.replace("_", "-") + ".md")
    pages = [page] if page.exists() else list(program.parent.glob("*.md"))
    text = "".join(path.read_text() for path in pages)
    assert program.name in text
    shown = re.findall(
        rf"```{{literalinclude}} {program.name}\n(.*?)```", text, re.DOTALL
    )
    marks = {mark for block in shown for mark in re.findall(r'"(# --- .*)"', block)}
    lines = program.read_text().splitlines()
    assert marks <= set(lines)
