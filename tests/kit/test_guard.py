"""A guard keeps Eventlet out of a process, or says where it is still used."""

from __future__ import annotations

import sys

import pytest

VARIABLE = "EVENTLET_ASYNCIO_GUARD"
# The start-up file, which reads the variable, for environments whose own is older.
START = (
    "from eventlet_asyncio.migration._guard import from_environment as start\nstart()\n"
)
OURS = {"EVENTLET_HUB": "asyncio"}
USES = """
import eventlet
eventlet.monkey_patch()
import time
def work():
    time.sleep(0.001)
    return "done"
print(eventlet.spawn(work).wait())
"""


def run(run_isolated, program, mode, **keywords):
    """Run a program under the variable."""
    return run_isolated(START + program, OURS | {VARIABLE: mode}, **keywords)


def test_import_is_refused_with_an_import_error(run_isolated):
    """The error names the place, and what asks for the module is not changed."""
    program = """
from importlib import import_module
from importlib.util import find_spec
for statement in ("import eventlet", "from eventlet.green import socket",
                  "import_module('eventlet.wsgi')", "__import__('eventlet')"):
    try:
        exec(compile(statement, "there.py", "exec"))
    except ImportError as error:
        assert error.name.startswith("eventlet"), error.name
        assert "there.py:1" in str(error) and "EA202" in str(error), error
    else:
        raise AssertionError(statement)
import sys
assert "eventlet" not in sys.modules
assert find_spec("eventlet") is not None
import json, asyncio, eventlet_asyncio
"""
    run(run_isolated, program, "error")


def test_optional_import_finds_that_there_is_none(run_isolated):
    """What falls back without Eventlet does so."""
    program = """
try:
    import eventlet
except ImportError:
    eventlet = None
print(eventlet)
"""
    assert run(run_isolated, program, "error").stdout == "None\n"


def test_switch_is_refused_where_it_is_asked_for(run_isolated):
    """The error is raised in the greenlet that wanted to leave, at its line."""
    program = """
import greenlet, traceback
def other():
    return "ran"
g = greenlet.greenlet(other)
try:
    g.switch()
except RuntimeError as error:
    frames = [frame.line for frame in traceback.extract_tb(error.__traceback__)]
    print(type(error).__name__, error.__traceback__.tb_lineno)
    assert "EA203" in str(error)
"""
    done = run(run_isolated, program, "error")
    assert done.stdout == "GuardedSwitchError 9\n"


def test_warning_is_given_once_for_each_place(run_isolated):
    """Import, patching and switches are told with their lines; all goes on."""
    done = run(run_isolated, USES, "warn")
    assert done.stdout == "done\n"
    told = [line for line in done.stderr.splitlines() if "GuardWarning" in line]
    assert [line.partition("GuardWarning: ")[2].split(" [")[0] for line in told] == [
        "import of eventlet at <string>:4",
        "monkey_patch() at <string>:5",
        "greenlet switch at <string>:10 in __main__:<module>",
        "greenlet switch at <string>:8 in __main__:work",
    ]


def test_warning_that_is_an_error_is_raised_where_it_belongs(run_isolated):
    """With -W error a switch raises in the code that asked for it."""
    program = """
import warnings
from eventlet_asyncio.migration import GuardWarning, guard
import eventlet
eventlet.sleep(0)
warnings.simplefilter("error", GuardWarning)
with guard("warn"):
    try:
        eventlet.sleep(0)
    except GuardWarning as warning:
        print("raised", warning.__traceback__.tb_lineno)
eventlet.sleep(0)
"""
    assert run_isolated(program, OURS).stdout == "raised 9\n"


def test_count_prints_what_was_used(run_isolated):
    """At the end of the process, with the places."""
    done = run(run_isolated, USES + "import eventlet.green.os\n", "count")
    first, *places = done.stderr.splitlines()
    assert "2 x import, 1 x monkey_patch, 2 x switch" in first
    assert [line.split() for line in places] == [
        ["1", "x", "import", "<string>:4"],
        ["1", "x", "import", "<string>:11"],
        ["1", "x", "monkey_patch", "<string>:5"],
        ["1", "x", "switch", "<string>:8"],
        ["1", "x", "switch", "<string>:10"],
    ]


def test_count_of_a_process_that_uses_nothing_is_zero(run_isolated):
    """The line is there all the same: it was watched."""
    done = run(run_isolated, "import json", "count")
    assert "0 x import, 0 x monkey_patch, 0 x switch" in done.stderr


def test_misspelt_mode_is_told_and_guards(run_isolated):
    """A typing error does not let Eventlet in."""
    program = "try:\n    import eventlet\nexcept ImportError:\n    print('refused')"
    done = run(run_isolated, program, "eror")
    assert done.stdout == "refused\n"
    assert "did you mean 'error'?" in done.stderr
    assert "EA201" in done.stderr


def test_misspelt_mode_of_the_function_is_an_error():
    """The function knows its caller and raises."""
    from eventlet_asyncio.migration import guard

    with pytest.raises(ValueError, match="did you mean 'count'"):
        guard("cuont")


@pytest.mark.parametrize("hub", ["asyncio", "epolls"])
def test_block_in_a_process_that_uses_eventlet(run_isolated, hub):
    """Within the block all three are refused; before and after it nothing is."""
    program = """
import eventlet, threading
from eventlet import queue
from eventlet_asyncio.migration import guard, GuardedImportError, GuardedSwitchError

def refused(error, function, *args):
    try:
        function(*args)
    except error:
        return
    raise AssertionError(function)

def imports():
    import eventlet.wsgi

def from_thread():
    g = eventlet.greenthread.greenlet.greenlet(lambda: None)
    try:
        g.switch()
    except GuardedSwitchError:
        seen.append("thread")

seen = []
busy = eventlet.spawn(eventlet.sleep, 0.02)
box = queue.Queue()
with guard() as watching:
    refused(GuardedImportError, imports)
    refused(GuardedSwitchError, eventlet.monkey_patch)
    refused(GuardedSwitchError, eventlet.sleep, 0)
    refused(GuardedSwitchError, box.get)
    refused(GuardedSwitchError, busy.wait)
    thread = threading.Thread(target=from_thread)
    thread.start()
    thread.join()
assert watching.counts == {"import": 1, "monkey_patch": 1, "switch": 4}, watching.counts
assert seen == ["thread"]
imports()
assert busy.wait() is None
eventlet.spawn_after(0.01, box.put, "item")
assert box.get() == "item"
eventlet.sleep(0.01)
import builtins, importlib, sys, greenlet
assert type(builtins.__import__).__name__ == "builtin_function_or_method"
assert importlib.import_module.__module__ == "importlib"
assert greenlet.gettrace() is None
assert not [f for f in sys.meta_path if hasattr(f, "eventlet_asyncio_watch")]
print(watching.summary().splitlines()[0])
"""
    activated = "import eventlet_asyncio; eventlet_asyncio.activate()\n"
    done = run_isolated(activated + program, {"EVENTLET_HUB": hub})
    assert "1 x import, 1 x monkey_patch, 4 x switch" in done.stdout


def test_nested_blocks_each_see_their_own(run_isolated):
    """The outer one counts what the inner one refuses."""
    program = """
import eventlet
from eventlet_asyncio.migration import guard
with guard("count") as outer:
    eventlet.sleep(0)
    with guard("error") as inner:
        try:
            eventlet.sleep(0)
        except RuntimeError:
            pass
    eventlet.sleep(0)
print(outer.counts["switch"], inner.counts["switch"])
"""
    assert run_isolated(program, OURS).stdout == "3 1\n"


def test_switches_of_bystanders_pass(run_isolated):
    """SQLAlchemy's asyncio extension, moved to asyncio, needs greenlet and no Eventlet."""
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("aiosqlite")
    program = """
import asyncio
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

async def main():
    engine = create_async_engine("sqlite+aiosqlite://")
    async with engine.connect() as connection:
        print((await connection.execute(text("select 42"))).scalar())
    await engine.dispose()

asyncio.run(main())
"""
    assert run(run_isolated, program, "error").stdout == "42\n"


def test_forked_child_counts_for_itself(run_isolated):
    """A child starts at zero and prints its own line."""
    program = """
import os, sys, eventlet
eventlet.sleep(0)
child = os.fork()
if child:
    os.waitpid(child, 0)
else:
    eventlet.sleep(0)
    eventlet.sleep(0)
    sys.exit()
"""
    done = run(run_isolated, program, "count")
    switches = sorted(
        line.split(",")[2].split()[0]
        for line in done.stderr.splitlines()
        if "guard:" in line
    )
    assert switches == ["1", "2"]


def command(*arguments):
    """Return a program that runs the command line."""
    return (
        "import sys\nfrom eventlet_asyncio.cli.main import main\n"
        f"sys.exit(main({list(arguments)!r}))"
    )


def test_command_has_the_variable_set_and_becomes_the_command(run_isolated):
    """The command's process is this one, with its exit status."""
    inner = f"import os; print(os.environ[{VARIABLE!r}]); raise SystemExit(7)"
    program = command("guard", "--mode", "count", "--", sys.executable, "-Sc", inner)
    assert run_isolated(program, status=7).stdout == "count\n"
    program = command("guard", sys.executable, "-Sc", inner)
    assert run_isolated(program, status=7).stdout == "error\n"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("guard",), "EA205"),
        (("guard", "--"), "EA205"),
        (("guard", "--", "no-such-command-anywhere"), "EA206"),
        (("guard", "--mode", "eror", "--", "true"), "'count'"),
    ],
)
def test_wrong_use_of_the_command_is_told(run_isolated, arguments, told):
    """Wrong use ends with 2."""
    assert told in run_isolated(command(*arguments), status=2).stderr
