"""The README's commands are the ones that are run."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def commands(path):
    """List the lines of a page's shell blocks."""
    blocks = re.findall(
        r"^```sh\n(.*?)^```", path.read_text(), re.DOTALL | re.MULTILINE
    )
    return [line for block in blocks for line in block.splitlines()]


def test_ci_runs_the_readme_test_command():
    """CI runs the README's test command, to the letter, and nothing after it."""
    named = [line for line in commands(ROOT / "README.md") if "nox -s tests" in line]
    assert len(named) == 1
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == named[0]


def test_readme_and_contributing_agree():
    """Whoever contributes is told the same command as whoever tries it."""
    readme, contributing, setup = (
        [line for line in commands(ROOT / page) if "nox -s tests" in line]
        for page in ("README.md", "CONTRIBUTING.md", "docs/contributing/setup.md")
    )
    assert readme == contributing == setup
