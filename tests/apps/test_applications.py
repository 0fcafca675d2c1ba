"""
Run real applications, each program of ``programs/`` in a process of its own.

A program says in its docstring what it promises, asserts that, and prints
``pass`` as its last line.  Lines at its top speak to this runner:

``# needs: distribution ...``  skips it where one of them is not installed;
``# server: name ...``  starts servers, whose addresses the program finds in
variables ``APPS_<NAME>``;
``# env: NAME=value``  sets a variable;
``# given: NAME ...``  passes variables on, and skips it where one is not set;
``# upstream: reason``  says why it does not pass on upstream.

``APPS_HUB`` chooses what they run on: ``asyncio``, the default, is this
distribution; any other name is a hub of the upstream Eventlet installed beside
it, for comparison.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.apps.servers import HUB
from tests.programs import said, skip_unless_installed

PROGRAMS = sorted(Path(__file__).parent.glob("programs/*.py"))


def test_programs_run_on_the_chosen_eventlet(run_isolated):
    """The comparison compares: ours on the asyncio hub, upstream on any other."""
    program = "import eventlet; print(eventlet.__file__)"
    loaded = run_isolated(program, {"EVENTLET_HUB": HUB}).stdout
    assert ("_overlay" in loaded) == (HUB == "asyncio")


@pytest.mark.timeout(240)
@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.stem)
def test_application_keeps_its_promise(program, run_isolated, server):
    """Each program leaves with status 0, by no signal, and reaches its end."""
    text = program.read_text()
    if HUB != "asyncio" and said("upstream", text):
        pytest.skip("upstream: " + " ".join(said("upstream", text)))
    skip_unless_installed(text)
    missing = [name for name in said("given", text) if name not in os.environ]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    env = {f"APPS_{name.upper()}": server(name) for name in said("server", text)}
    env |= {name: os.environ[name] for name in said("given", text)}
    env |= dict(pair.split("=", 1) for pair in said("env", text))
    done = run_isolated(program, {"EVENTLET_HUB": HUB} | env)
    assert done.stdout.splitlines()[-1:] == ["pass"], done.stderr
