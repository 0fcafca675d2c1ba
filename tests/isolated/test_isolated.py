"""
Run each program of this folder in a process of its own.

Here belongs what must own its process: forks, signals, patching orders,
interpreter shutdown, and whatever once crashed.  A program says in its
docstring what it promises, asserts that, and prints ``pass`` as its last line,
so that one which left early does not count.  Lines ``# env: NAME=value`` set
variables; ``EVENTLET_HUB=asyncio`` is set unless such a line says otherwise.
A line ``# needs: module`` skips the program where that module is missing,
and a line ``# loops: uvloop`` has it run on that loop, too.
Variables of the name ``STRESS_*`` reach the programs: they say how long to go on.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

PROGRAMS = sorted(
    path for path in Path(__file__).parent.glob("*.py") if path != Path(__file__)
)


STRESS = {name: it for name, it in os.environ.items() if name.startswith("STRESS_")}


@pytest.fixture
def budget(budget):
    """Give a program the time it was asked to go on for, on top."""
    return type(budget)(45 + float(STRESS.get("STRESS_SECONDS", "0")))


def runs():
    """List the programs, each with the loops it is to be run on."""
    for program in PROGRAMS:
        yield pytest.param(program, None, id=program.stem)
        for loop in re.findall(r"^# loops: (\w+)$", program.read_text(), re.MULTILINE):
            yield pytest.param(program, loop, id=f"{program.stem}-{loop}")


@pytest.mark.parametrize(("program", "loop"), list(runs()))
def test_program_keeps_its_promise(program, loop, run_isolated):
    """Each program leaves with status 0, by no signal, and reaches its end."""
    text = program.read_text()
    needed = re.findall(r"^# needs: (\w+)$", text, re.MULTILINE)
    for module in [*needed, loop] if loop else needed:
        if find_spec(module) is None:
            pytest.skip(f"{module} is not installed")
    named = dict(re.findall(r"^# env: (\w+)=(.*)$", text, re.MULTILINE))
    if loop:
        named["EVENTLET_ASYNCIO_LOOP"] = f"{loop}:new_event_loop"
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"} | STRESS | named)
    assert done.stdout.splitlines()[-1:] == ["pass"], done.stderr
