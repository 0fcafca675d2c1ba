"""The doctor names what is wrong, what it does, and what to do about it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from eventlet_asyncio import _checks

ROOT = Path(__file__).parents[2]


@pytest.fixture
def doctor(tmp_path):
    """Ask the doctor, in JSON."""

    def ask(env=None, *, before="", status=1, cwd=tmp_path):
        program = f"import sys\n{before}\nfrom eventlet_asyncio.cli.main import main\n"
        program += "sys.exit(main(['doctor', '--json']))"
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={"PATH": os.environ["PATH"], "EVENTLET_HUB": "asyncio"} | (env or {}),
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return json.loads(done.stdout)

    return ask


def only(report, state):
    """Return the only check of that state."""
    (found,) = [check for check in report["checks"] if check["state"] == state]
    return found


def test_all_is_well(doctor):
    """A good environment: status 0, nothing but good news, in little time."""
    report = doctor(status=0)
    assert (report["schema"], report["status"]) == (1, 0)
    assert {check["name"] for check in report["checks"]} >= {
        "selection", "native module", "stacks", "loop",
    }  # fmt: skip
    assert not [check for check in report["checks"] if check["state"] == "problem"]
    assert report["imports"]["eventlet"]["distribution"] == "eventlet-asyncio"


@pytest.mark.parametrize(
    ("env", "name", "fix", "code"),
    [
        ({"EVENTLET_HUB": "asynico"}, "hub", "write asyncio", "EA603"),
        ({"EVENTLET_HUB": " "}, "hub", "asyncio", "EA603"),
        (
            {"EVENTLET_ASYNCIO_LOPP": "x"},
            "variable",
            "write EVENTLET_ASYNCIO_LOOP",
            "EA613",
        ),
        ({"EVENTLET_ASYNCIO_GUARD": "wran"}, "guard", "error, warn or count", "EA201"),
        (
            {"EVENTLET_ASYNCIO_LOOP": "nonsense:new"},
            "loop",
            "install nonsense",
            "EA607",
        ),
        ({"EVENTLET_ASYNCIO_LOOP": "uvloop"}, "loop", "module:factory", "EA607"),
    ],
)
def test_wrong_words_are_found(doctor, env, name, fix, code):
    """Each variable that is misspelt, in its name or its value."""
    # Selected from code where the variable does not.
    before = "import eventlet_asyncio; eventlet_asyncio.activate()"
    check = only(doctor(env, before=before), "problem")
    assert (check["name"], check["code"]) == (name, code)
    assert fix in check["fix"]
    assert check["evidence"]
    assert check["effect"]
    assert check["page"].endswith(f"#{code.lower()}")


def test_variable_that_came_too_late_is_found(doctor):
    """Set in the process itself, after the start-up file was read."""
    before = "import os; os.environ['EVENTLET_HUB'] = 'asyncio'"
    check = only(doctor({"EVENTLET_HUB": ""}, before=before), "problem")
    assert check["code"] == "EA604"
    assert "activate()" in check["fix"]


def test_program_that_sets_the_variable_is_found(doctor, tmp_path):
    """By its line, if the environment does not select; comments are none."""
    (tmp_path / "wsgi.py").write_text(
        "import os\n# os.environ['EVENTLET_HUB'] = 'x'\n"
        "os.environ['EVENTLET_HUB'] = 'asyncio'\nimport eventlet\n"
    )
    before = "import eventlet_asyncio; eventlet_asyncio.activate(); import os; del os.environ['EVENTLET_HUB']"
    note = only(doctor({"EVENTLET_HUB": ""}, before=before, status=0), "note")
    assert note["evidence"].startswith("wsgi.py:3 sets EVENTLET_HUB")
    assert not [c for c in doctor(status=0)["checks"] if c["code"] == "EA604"]


def test_native_module_that_crashes_is_a_problem(doctor):
    """A trial that dies by a signal is reported, with the signal's name."""
    before = (
        "from eventlet_asyncio import _checks\n"
        "_checks._TRIAL = 'import os, signal; os.kill(os.getpid(), signal.SIGSEGV)'"
    )
    check = only(doctor(before=before), "problem")
    assert check["name"] == "native module"
    assert "SIGSEGV" in check["evidence"]


def test_stacks_that_take_mappings_are_noted(doctor):
    """With the number of green threads that the system's limit allows."""
    report = doctor({"EVENTLET_ASYNCIO_STACK_GUARD": "mprotect"}, status=0)
    check = only(report, "note")
    assert (check["name"], check["code"]) == ("stacks", "EA606")
    assert "max_map_count" in check["evidence"]


@pytest.mark.parametrize(
    ("before", "name", "state"),
    [
        (("import types; m = types.ModuleType('gevent.monkey'); m.saved = {'socket': 1}\n"
         "sys.modules['gevent.monkey'] = m"), "gevent", "problem"),
        ("import asyncio; asyncio._nest_patched = True", "nest_asyncio", "problem"),
        (("import uvloop, asyncio, warnings; warnings.simplefilter('ignore')\n"
         "asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())"), "policy", "note"),
        (("open('early.py', 'w').write('from time import sleep\\n')\n"
         "sys.path.insert(0, '.'); import early, eventlet; eventlet.monkey_patch()"),
         "patching", "problem"),
    ],
)  # fmt: skip
def test_conflicts_in_the_process_are_found(doctor, before, name, state):
    """What was done in the process that asks."""
    check = only(doctor(before=before, status=int(state == "problem")), state)
    assert check["name"] == name
    assert check["effect"]
    assert check["fix"]
    if name == "patching":
        assert "early (time.sleep)" in check["evidence"]


def test_answer_is_quick(doctor):
    """Within 300 ms of processor time, the trial included."""
    best = float("inf")
    for _ in range(5):
        before = os.times()
        doctor(status=0)
        after = os.times()
        spent = after.children_user + after.children_system
        best = min(best, spent - before.children_user - before.children_system)
    assert best < 0.3


def test_known_variables_are_those_of_the_reference():
    """A variable that is documented is not called unknown."""
    import re

    text = (ROOT / "docs/reference/environment.md").read_text()
    documented = set(re.findall(r"EVENTLET_ASYNCIO_([A-Z_]+)`", text))
    assert documented <= set(_checks.VARIABLES)


def test_diagnosis_can_be_asked_for_in_a_program():
    """The same checks, as objects."""
    from eventlet_asyncio.migration import diagnose

    began = time.monotonic()
    assert {check.name for check in diagnose()} >= {"selection", "loop"}
    assert time.monotonic() - began < 30
