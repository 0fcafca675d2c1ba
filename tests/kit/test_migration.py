"""The helpers of a migration mean the same on Eventlet, on threads and in asyncio."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import eventlet_asyncio.migration

EVERYWHERE = Path(__file__).parent / "programs" / "everywhere.py"
OURS = {"EVENTLET_HUB": "asyncio"}
# Neither ours nor, in this environment, another: no Eventlet at all.
NONE = {"EVENTLET_ASYNCIO_DISABLE": "1"}


@pytest.mark.parametrize(
    ("place", "variables"),
    [
        ("eventlet", OURS),
        ("eventlet", {"EVENTLET_HUB": "epolls"}),
        ("green", OURS),
        ("threads", NONE),
        ("asyncio", NONE),
        ("asyncio", OURS),
    ],
)
def test_helpers_mean_the_same(run_isolated, place, variables):
    """One program's checks hold wherever it runs."""
    source = f"import sys, runpy\nsys.argv[1:] = [{place!r}]\n"
    source += f"runpy.run_path({str(EVERYWHERE)!r}, run_name='__main__')\n"
    if "EVENTLET_ASYNCIO_DISABLE" not in variables:
        # Both names from here, where the fallback would mix two implementations.
        source = f"import eventlet_asyncio; eventlet_asyncio.activate()\n{source}"
    run_isolated(source, variables)


def test_importing_costs_nothing_heavy(run_isolated):
    """The package alone loads none of its parts, and no part loads Eventlet."""
    program = """
import sys
import eventlet_asyncio.migration
parts = {name for name in sys.modules if name.startswith("eventlet_asyncio.migration.")}
assert not parts, parts
for name in eventlet_asyncio.migration.__all__:
    getattr(eventlet_asyncio.migration, name)
assert not {"eventlet", "greenlet", "eventlet_asyncio._core"} & set(sys.modules)
"""
    run_isolated(program, OURS)


def test_public_names_are_there():
    """Each name of __all__ exists, and nothing else is found."""
    module = eventlet_asyncio.migration
    for name in module.__all__:
        assert getattr(module, name).__name__ == name
    assert set(module.__all__) <= set(dir(module))
    with pytest.raises(AttributeError):
        module.nothing  # noqa: B018 - looked up


@pytest.mark.timeout(120)
def test_a_child_of_a_patched_process_may_use_threads(tmp_path):
    """The same program in a child that has no Eventlet."""
    done = subprocess.run(
        [sys.executable, str(EVERYWHERE), "threads"],
        env=NONE | {"PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
