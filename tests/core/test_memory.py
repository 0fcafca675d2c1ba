"""Stacks: their guard, and what a setting that makes no sense says."""

from __future__ import annotations

import subprocess
import sys

import pytest

OVERFLOW = """
import sys
import eventlet
sys.setrecursionlimit(10**8)

class Again:
    def __lt__(self, other):
        [Again(), Again()].sort()
        return True

eventlet.spawn([Again(), Again()].sort).wait()
"""


@pytest.mark.skipif(
    sys.version_info >= (3, 12), reason="this Python stops C recursion by itself"
)
def test_overflow_ends_the_process_with_a_clear_message(tmp_path):
    """A stack that is used up hits its guard: what happened is said, and where."""
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", OVERFLOW],
        env={"EVENTLET_HUB": "asyncio"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode < 0
    assert "Fatal: a green thread ran out of its C stack" in done.stderr
    assert "EVENTLET_ASYNCIO_STACK_SIZE" in done.stderr
    # faulthandler has its say, too.
    assert "in __lt__" in done.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("EVENTLET_ASYNCIO_STACK_SIZE", "large"),
        ("EVENTLET_ASYNCIO_STACK_SIZE", "1K"),
        ("EVENTLET_ASYNCIO_STACK_GUARD", "none"),
    ],
)
def test_setting_that_makes_no_sense_is_named(run_isolated, variable, value):
    """The first green thread says which variable is wrong, and what would be right."""
    env = {"EVENTLET_HUB": "asyncio", variable: value}
    done = run_isolated("import eventlet; eventlet.sleep(0)", env, status=1)
    assert variable in done.stderr
    assert value in done.stderr
    assert "give" in done.stderr


def test_stack_size_is_what_was_asked_for(run_isolated):
    """A small stack holds less before it is used up, and works."""
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_STACK_SIZE": "256K"}
    program = "import eventlet; print(eventlet.spawn(sum, [1, 2]).wait())"
    assert run_isolated(program, env).stdout == "3\n"


def test_stacks_are_used_again():
    """Thousands of green threads one after the other need one stack each time."""
    import eventlet
    from eventlet_asyncio import _core

    eventlet.spawn(int).wait()
    before = _core._stack_statistics()["mapped"]
    for _ in range(3000):
        eventlet.spawn(int).wait()
    assert _core._stack_statistics()["mapped"] == before
