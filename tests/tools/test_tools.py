"""
Run tools for developers and operators, each program of ``programs/`` in a process.

A program says in its docstring what it promises, asserts that, and prints
``pass`` as its last line.  Lines at its top speak to this runner:

``# needs: distribution ...``  skips it where one of them is not installed;
``# since: 3.N``  skips it on an older CPython.

``docs/reference/tools.md`` says the same in words.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from tests.programs import said, skip_unless_installed

PROGRAMS = sorted(Path(__file__).parent.glob("programs/*.py"))


@pytest.mark.timeout(240)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_tool_keeps_its_promise(program, run_isolated):
    """Each program leaves with status 0, by no signal, and reaches its end."""
    text = program.read_text()
    for version in said("since", text):
        if sys.version_info < tuple(map(int, version.split("."))):
            pytest.skip(f"needs CPython {version}")
    skip_unless_installed(text)
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    if done.stdout.startswith("skip: "):
        pytest.skip(done.stdout.removeprefix("skip: "))
    assert done.stdout.splitlines()[-1:] == ["pass"], done.stderr
