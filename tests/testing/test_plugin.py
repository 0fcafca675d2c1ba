"""What the pytest plugin finds, and what it leaves alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from eventlet_asyncio import testing
from eventlet_asyncio.testing import plugin
from eventlet_asyncio.testing._leaks import KINDS

ROOT = Path(__file__).parents[2]

OURS = "--green-hub=ours"

LEAKS = {
    "green threads": ("eventlet.spawn(eventlet.sleep, 100)", "green thread"),
    "tasks": (
        (
            "async def forever():\n"
            "        await asyncio.sleep(100)\n"
            "    eventlet.sleep(0); kept.append(eventlet.hubs.get_hub().loop.create_task(forever()))"
        ),
        "task",
    ),
    "timers": ("eventlet.hubs.get_hub().schedule_call_global(100, print)", "timer"),
    "threads": (
        "threading.Thread(target=time.sleep, args=(3,), daemon=True).start()",
        "OS thread",
    ),
    "descriptors": ("kept.append(open(__file__))", "descriptor"),
    "sockets": ("kept.append(socket.socket())", "descriptor"),
    "coroutines": ("answer()", "never awaited"),
}
HEAD = """
import asyncio, socket, threading, time
import eventlet

kept = []

async def answer():
    pass

def test_before():
    eventlet.sleep(0)

"""


@pytest.mark.parametrize("kind", LEAKS)
def test_leak_is_told_of_its_test_with_its_line(run, kind):
    """The test that leaves it behind fails, and no other."""
    statement, what = LEAKS[kind]
    text = f"{HEAD}\ndef test_leaks():\n    {statement}\n\ndef test_after():\n    eventlet.sleep(0)\n"
    last = statement.splitlines()[-1].strip()
    line = next(
        number
        for number, found in enumerate(text.strip().splitlines(), 1)
        if found.strip() == last
    )
    result = run(text, OURS, "-W", "ignore")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_leaks*",
            f"left *{what}*made at test_it.py:{line} in test_leaks*",
        ]
    )


@pytest.mark.parametrize("marker", ["allow_leaks", 'allow_leaks("green threads")'])
def test_leak_can_be_allowed(run, marker):
    """By kind, or all."""
    text = f"import pytest, eventlet\n@pytest.mark.{marker}\ndef test_it():\n    eventlet.spawn(eventlet.sleep, 100)\n"
    run(text, OURS).assert_outcomes(passed=1)


def test_patch_that_stays_is_told(run):
    """What a test patches is patched for those that follow."""
    text = (
        "import eventlet\ndef test_patches():\n    eventlet.monkey_patch(time=True)\n"
    )
    result = run(text, OURS)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["left monkey_patch() of time*"])


def test_failure_that_nobody_took_fails_the_test(run):
    """Of a green thread, and of a task."""
    text = """
import asyncio, gc
import eventlet, pytest

def boom():
    raise ValueError("nobody looks")

def test_green():
    eventlet.spawn_n(boom)
    eventlet.sleep(0)

def test_taken():
    with pytest.raises(ValueError):
        eventlet.spawn(boom).wait()

@pytest.mark.allow_failures
def test_allowed():
    eventlet.spawn_n(boom)
    eventlet.sleep(0)
"""
    result = run(text, OURS)
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        [
            "*ERROR at teardown of test_green*",
            "*swallowed an error*",
            "*ValueError: nobody looks*",
        ]
    )


def test_blocked_hub_is_told_with_the_stack(run):
    """A green thread that keeps others from running fails its test."""
    text = """
import time
import eventlet, pytest

def test_blocks():
    eventlet.sleep(0)
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        pass
    eventlet.sleep(0)

def test_gives_way():
    eventlet.sleep(0.6)

@pytest.mark.allow_blocking
def test_may():
    eventlet.sleep(0)
    time.sleep(0.6)
"""
    result = run(text, OURS, "--green-blocking=0.3")
    result.assert_outcomes(passed=3, errors=1)
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_blocks*", "*blocked the hub*", "*in test_blocks*"]
    )


def test_test_runs_in_a_green_thread(run):
    """By its marker, or all of them."""
    text = """
import eventlet, greenlet, pytest

@pytest.fixture
def number():
    return 3

@pytest.mark.green
def test_marked(number):
    assert number == 3
    assert isinstance(greenlet.getcurrent(), eventlet.greenthread.GreenThread)

def test_plain():
    assert not isinstance(greenlet.getcurrent(), eventlet.greenthread.GreenThread)
"""
    run(text, OURS).assert_outcomes(passed=2)
    run(text, OURS, ini="green_tests = auto").assert_outcomes(passed=1, failed=1)


def test_coroutine_may_block(run):
    """It is run where no other plugin claims it."""
    text = """
import asyncio
import eventlet

async def test_it():
    await asyncio.sleep(0)
    eventlet.sleep(0)
    assert await eventlet.spawn(int, "5") == 5
"""
    run(text, OURS).assert_outcomes(passed=1)


def test_time_limit_shows_all_stacks(run):
    """A test that waits for ever ends, and tells who waited where."""
    text = """
import eventlet, pytest

def partner(event):
    event.wait()

@pytest.mark.green
@pytest.mark.allow_leaks
def test_hangs():
    event = eventlet.Event()
    eventlet.spawn(partner, event)
    event.wait()

def test_next():
    eventlet.sleep(0)
"""
    result = run(text, OURS, ini="green_timeout = 0.5")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*took longer than 0.5 s*", "*in partner*"])


def test_nothing_happens_unless_it_is_turned_on(run):
    """No check, no fixture, no import."""
    text = """
import sys

def test_it(request):
    assert not any(n.startswith("eventlet_asyncio.testing._") for n in sys.modules)
    assert "eventlet" not in sys.modules
"""
    run(text).assert_outcomes(passed=1)


def test_ini_option_turns_it_on(run):
    """Without any flag."""
    text = "import eventlet\ndef test_it():\n    eventlet.spawn(eventlet.sleep, 100)\n"
    run(text, ini="green_mode = true").assert_outcomes(passed=1, errors=1)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--green-hub=theirs"], "*there is no hub 'theirs'*"),
        (["--green-shuffle=x"], "*--green-shuffle takes a seed*"),
        (["--green-compare=ours"], "*takes two hubs or more*"),
        (["--green-compare=ours,mine"], "*there is no hub 'mine'*"),
    ],
)
def test_wrong_use_is_told(run, options, told):
    """With status 4, as pytest has it."""
    result = run("def test_it(): pass\n", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])


def test_none_forbids_eventlet(run):
    """What has left Eventlet is tested without it."""
    text = "def test_it():\n    import eventlet\n"
    result = run(text, "--green-hub=none")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*ImportError*"])


ORDER = """
import eventlet

def test_depends_on_the_order():
    seen = []
    pile = eventlet.GreenPile()
    for number in range(6):
        pile.spawn(seen.append, number)
    list(pile)
    assert seen.index(2) < seen.index(4)

def test_does_not():
    pool = eventlet.GreenPool()
    assert sorted(pool.imap(int, "321")) == [1, 2, 3]
"""


def test_search_finds_an_order_that_fails_and_reduces_it(run):
    """What it prints gives the failure again."""
    result = run(ORDER, OURS, "--green-shuffle-search=50")
    result.assert_outcomes(passed=1, failed=1)
    (option,) = set(re.findall(r"--green-shuffle=\d+:\S+", result.stdout.str()))
    _, _, numbers = option.partition(":")
    assert len(numbers.split(",")) == 1
    again = run(ORDER, OURS, option)
    again.assert_outcomes(passed=1, failed=1)
    run(ORDER, OURS).assert_outcomes(passed=2)


def test_fixtures(run):
    """Time and order in a test's hands."""
    text = """
import eventlet

def test_clock(virtual_clock):
    before = virtual_clock.time()
    eventlet.sleep(3600)
    assert virtual_clock.time() == before + 3600

def test_idle(wait_until_idle):
    seen = []
    thread = eventlet.spawn(seen.append, 1)
    wait_until_idle()
    assert seen == [1]

def test_sequence(sequencer):
    seen = []
    def step(number):
        with sequencer(number):
            seen.append(number)
    threads = [eventlet.spawn(step, number) for number in (2, 0, 1)]
    for thread in threads:
        thread.wait()
    assert seen == [0, 1, 2]
"""
    run(text, OURS).assert_outcomes(passed=3)


def test_differences_between_hubs_are_found(run, pytester):
    """Outcome, exception and output; accepted ones do not count."""
    text = """
import sys
import pytest

HERE = "eventlet" in sys.modules or __import__("os").environ.get("EVENTLET_HUB")

def test_same():
    assert True

def test_outcome():
    assert HERE

def test_output():
    print("here" if HERE else "there")

@pytest.mark.green_differs("known", expect="output")
def test_accepted():
    print("here" if HERE else "there")
"""
    result = run(
        text,
        "--green-compare=ours,threads",
        "--green-compare-json=out.json",
        "--junitxml=out.xml",
    )
    assert result.ret == 1
    rows = json.loads((pytester.path / "out.json").read_text())["tests"]
    assert {row["test"].rpartition("::")[2]: row["differs"] for row in rows} == {
        "test_same": [],
        "test_outcome": ["outcome", "exception"],
        "test_output": ["output"],
        "test_accepted": [],
    }
    assert 'failures="2"' in (pytester.path / "out.xml").read_text()
    result.stdout.fnmatch_lines(["*4 tests on ours, threads: 2 differ, 1 as accepted*"])


def test_evidence_tells_which_test_reached_a_line(run, pytester):
    """The file is what scan and plan read."""
    text = "import eventlet\ndef test_it():\n    eventlet.sleep(0)\n"
    run(text, OURS, "--green-evidence=seen.json").assert_outcomes(passed=1)
    document = json.loads((pytester.path / "seen.json").read_text())
    assert "test_it.py::test_it" in json.dumps(document)


def test_page_names_every_option():
    """What the plugin declares is in the reference, and nothing else is."""
    page = (ROOT / "docs" / "reference" / "testing.md").read_text()
    source = (ROOT / "python/eventlet_asyncio/testing/plugin.py").read_text()
    flags = set(re.findall(r'"(--green-[a-z-]+)"', source))
    inis = set(re.findall(r'addini\(\s*"(\w+)"', source))
    markers = {line.partition(":")[0].partition("(")[0] for line in plugin._MARKERS}
    tables, _, _ = page.partition("## eventlet_asyncio.testing")
    rows = set(re.findall(r"^\| `([\w-]+)", tables, re.MULTILINE))
    assert rows == flags | inis | markers
    assert all(f"`{kind}`" in page for kind in KINDS)
    assert all(name in page for name in testing.__all__)


SHOWN = """
import eventlet, pytest, testtools

class issue:
    def __init__(self, lifetime):
        import time
        self.end = time.monotonic() + lifetime

    def expired(self):
        import time
        return time.monotonic() > self.end
"""


def test_examples_of_the_page_run(run):
    """The tests that the guide shows pass."""
    page = (ROOT / "docs" / "howto" / "test-a-service.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    result = run("\n".join([SHOWN, *blocks]), OURS)
    assert result.parseoutcomes() == {"passed": 3}
