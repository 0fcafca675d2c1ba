"""The doctor says which eventlet and greenlet load, and why."""

from __future__ import annotations

import pytest

DOCTOR = "import runpy, sys\nsys.argv = ['eventlet-asyncio', 'doctor']\n"
DOCTOR += "runpy.run_module('eventlet_asyncio', run_name='__main__', alter_sys=True)"
SELECTED = {"EVENTLET_HUB": "asyncio"}


def report(done):
    """Read the report into a mapping from its first words to the rest."""
    words = (line.split(None, 1) for line in done.stdout.splitlines())
    return {first: rest for first, rest in words if first != "import"}


def imports(done):
    """Map each of the two names to the distribution that the report names."""
    lines = (line.split() for line in done.stdout.splitlines())
    return {line[1]: line[2] for line in lines if line[0] == "import"}


@pytest.mark.parametrize(
    ("variables", "gives", "because"),
    [
        ({}, "eventlet", "another eventlet is installed"),
        (SELECTED, "eventlet-asyncio", "EVENTLET_HUB=asyncio selects"),
        (
            SELECTED | {"EVENTLET_ASYNCIO_DISABLE": "1"},
            "eventlet",
            "EVENTLET_ASYNCIO_DISABLE switches",
        ),
    ],
)
def test_doctor_names_the_distribution_and_the_rule(
    run_isolated, beside_upstream, variables, gives, because
):
    """Beside an upstream the report follows the variables."""
    done = run_isolated(DOCTOR, variables, python=beside_upstream.python)
    assert imports(done)["eventlet"] == gives
    assert report(done)["because"].startswith(because)
    assert "PROBLEM" not in report(done)


def test_doctor_explains_the_fallback(run_isolated, alone):
    """Where nothing else is installed the report says that this is the reason."""
    done = run_isolated(DOCTOR, python=alone.python)
    assert imports(done) == {
        "eventlet": "eventlet-asyncio",
        "greenlet": "eventlet-asyncio",
    }
    assert report(done)["because"] == "no other eventlet is installed"


def test_doctor_reports_a_mixture(run_isolated, beside_greenlet):
    """Half an upstream beside ours is a problem with a fix, and status 1."""
    done = run_isolated(DOCTOR, python=beside_greenlet.python, status=1)
    assert imports(done) == {"eventlet": "eventlet-asyncio", "greenlet": "greenlet"}
    assert report(done)["PROBLEM"].startswith("selection: ")
    assert "fix: Set EVENTLET_HUB=asyncio" in done.stdout


def test_doctor_reports_a_selection_that_does_not_hold(run_isolated, beside_upstream):
    """Where the start-up file was not read the report says so, with status 1."""
    path = f"import sys\nsys.path.append({str(beside_upstream.site_packages)!r})\n"
    done = run_isolated(
        path + DOCTOR,
        SELECTED,
        python=beside_upstream.python,
        options=("-S",),
        status=1,
    )
    assert "start-up file" in report(done)["because"]
    assert "eventlet_asyncio.activate()" in report(done)["fix:"]


def test_doctor_imports_neither(run_isolated, alone):
    """Asking loads neither eventlet nor greenlet nor native code."""
    program = """
import sys
from eventlet_asyncio.cli.main import main
status = main(["doctor"])
print(status, {"eventlet", "greenlet", "eventlet_asyncio._core"} & set(sys.modules))
"""
    done = run_isolated(program, SELECTED, python=alone.python)
    assert done.stdout.splitlines()[-1] == "0 set()"
