"""
Run each program of this folder in a process of its own.

Here belongs what must own its process: forks, signals, patching orders,
interpreter shutdown, and whatever once crashed.  A program says in its
docstring what it promises, asserts that, and prints ``pass`` as its last line,
so that one which left early does not count.  Lines ``# env: NAME=value`` set
variables; ``EVENTLET_HUB=asyncio`` is set unless such a line says otherwise.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PROGRAMS = sorted(
    path for path in Path(__file__).parent.glob("*.py") if path != Path(__file__)
)


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_program_keeps_its_promise(program, run_isolated):
    """Each program leaves with status 0, by no signal, and reaches its end."""
    named = re.findall(r"^# env: (\w+)=(.*)$", program.read_text(), re.MULTILINE)
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"} | dict(named))
    assert done.stdout.splitlines()[-1:] == ["pass"], done.stderr
