"""Evidence says which lines switched, and joins what several processes saw."""

from __future__ import annotations

import json

import pytest

from eventlet_asyncio import evidence

OURS = {"EVENTLET_HUB": "asyncio"}
PROGRAM = """
import eventlet, sys
sys.path.insert(0, ".")
open("app.py", "w").write('''
import eventlet
from eventlet import queue

class Pool:
    def __init__(self):
        self.items = queue.Queue()
    def get(self):
        return self.items.get()

def fetch(pool):
    return pool.get()

def never():
    eventlet.sleep(1)

def plain():
    return 1

def busy():
    import time
    end = time.perf_counter() + 0.03
    while time.perf_counter() < end:
        pass
    eventlet.sleep(0)
''')
import app, json
from eventlet_asyncio.evidence import Recorder
with Recorder() as recorder:
    pool = app.Pool()
    gets = [eventlet.spawn(app.fetch, pool) for _ in range(3)]
    recorder.context = "a test"
    eventlet.sleep(0.02)
    for number in range(3):
        pool.items.put(number)
    for get in gets:
        get.wait()
    recorder.context = None
    app.plain()
    eventlet.spawn(app.busy).wait()
import greenlet
assert greenlet.gettrace() is None
print(json.dumps(recorder.document()))
"""


@pytest.fixture(scope="module")
def document(tmp_path_factory):
    """Record a small program."""
    import subprocess
    import sys

    folder = tmp_path_factory.mktemp("recorded")
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={"EVENTLET_HUB": "asyncio", "PATH": "/usr/bin:/bin"},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def site(document, function):
    """Return the only site of a function."""
    (found,) = [each for each in document["sites"] if each["function"] == function]
    return found


def test_a_site_has_its_numbers(document):
    """The line below the engine, how often it switched, and for how long."""
    get = site(document, "app:Pool.get")
    assert (get["path"], get["line"], get["switches"]) == ("app.py", 9, 3)
    assert 0.01 < get["longest_wait"] < 5
    assert get["tests"] == ["a test"]
    assert get["callers"] == [
        {"path": "app.py", "line": 12, "function": "app:fetch", "switches": 3}
    ]


def test_time_without_a_switch_is_noted(document):
    """A computing green thread is seen where it gives way."""
    assert site(document, "app:busy")["blocked"] >= 0.03
    assert site(document, "app:Pool.get")["blocked"] < 0.03


def test_calls_are_those_of_the_stacks(document):
    """Who switches through whom is there, and nothing of the engine."""
    assert ["app:fetch", "app:Pool.get"] in document["calls"]
    assert not [pair for pair in document["calls"] if "eventlet" in str(pair)]


def test_what_did_not_switch_is_no_site(document):
    """Absent from the sites: what ran without switching and what never ran."""
    functions = {each["function"] for each in document["sites"]}
    assert not functions & {"app:never", "app:plain", "app:fetch"}


def test_executed_functions_are_known_where_python_tells_them(run_isolated):
    """From 3.12 on; each function once, by path, line and qualified name."""
    program = """
import json, sys
open("app.py", "w").write("class A:\\n    def ran(self): pass\\n    def not_run(self): pass\\n")
sys.path.insert(0, ".")
import app
from eventlet_asyncio.evidence import Recorder
with Recorder() as recorder:
    app.A().ran()
    app.A().ran()
executed = recorder.document()["executed"]
if sys.version_info < (3, 12):
    assert executed is None
else:
    mine = [entry for entry in executed if entry["path"] == "app.py"]
    assert mine == [{"path": "app.py", "line": 2, "name": "A.ran"}], executed
    assert sys.monitoring.get_tool(sys.monitoring.PROFILER_ID) is None
"""
    run_isolated(program, {"EVENTLET_ASYNCIO_DISABLE": "1"})


def test_join_adds_and_takes_the_longest(document):
    """Two workers that saw the same."""
    other = json.loads(json.dumps(document))
    other["sites"][0]["longest_wait"] = 9.0
    other["sites"][0]["tests"] = ["another"]
    other["calls"].append(["a:b", "c:d"])
    joined = evidence.merge([document, other])
    assert joined["processes"] == 2
    assert len(joined["sites"]) == len(document["sites"])
    first = joined["sites"][0]
    assert first["switches"] == 2 * document["sites"][0]["switches"]
    assert first["longest_wait"] == 9.0
    assert "another" in first["tests"]
    get = site(joined, "app:Pool.get")
    assert get["switches"] == get["callers"][0]["switches"] == 6
    assert len(joined["calls"]) == len(document["calls"]) + 1
    assert evidence.merge([joined]) == joined
    # What is joined is not changed.
    assert site(document, "app:Pool.get")["callers"][0]["switches"] == 3


def test_join_keeps_executed_only_if_all_know_it(document):
    """A function that one process did not watch may have run there."""
    one = document | {"executed": [{"path": "a.py", "line": 1, "name": "f"}]}
    two = document | {"executed": [{"path": "a.py", "line": 1, "name": "f"}]}
    assert len(evidence.merge([one, two])["executed"]) == 1
    assert evidence.merge([one, document | {"executed": None}])["executed"] is None


def test_file_is_read_back(document, tmp_path):
    """Written and read it is the same."""
    evidence.write(document, tmp_path / "e.json")
    assert evidence.load(tmp_path / "e.json") == document
    assert [path.name for path in tmp_path.iterdir()] == ["e.json"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("not json", "EA401"),
        ("[]", "EA401"),
        ("{}", "EA401"),
        ('{"evidence": 2}', "EA402"),
    ],
)
def test_other_files_are_refused(tmp_path, text, code):
    """The message names the file and what is wrong with it."""
    path = tmp_path / "e.json"
    path.write_text(text)
    with pytest.raises(evidence.EvidenceError, match=code) as refused:
        evidence.load(path)
    assert str(path) in str(refused.value)
