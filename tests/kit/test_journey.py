"""The journey of the how-to is made, step by step, and the service works after each."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
JOURNEY = DOCS / "journey"
PAGE = DOCS / "howto" / "leave-eventlet.md"
SHARED = ["1-facade", "2-deadlines", "3-workers"]
BRANCHES = {
    "threads": [*SHARED, "threads/4-threads"],
    "asyncio": [*SHARED, "asyncio/4-coroutines", "asyncio/5-asyncio"],
}
# No Eventlet is there at all, and none may come back.
LEFT = {"EVENTLET_ASYNCIO_DISABLE": "1", "EVENTLET_ASYNCIO_GUARD": "error"}


def run(command, folder, env=None, seconds=150):
    """Run a command; return what it printed."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        # The temporary folder may lie in a checkout, where git would apply nothing.
        "GIT_CEILING_DIRECTORIES": str(folder.parent),
    }
    done = subprocess.run(
        command,
        cwd=folder,
        env=variables | (env or {}),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def check(folder, env):
    """Run the service's own tests."""
    run([sys.executable, "-W", "error", "-m", "unittest", "-f"], folder, env)


def mentions(folder):
    """Count the lines of the service that name Eventlet, but for this package."""
    text = "".join(path.read_text() for path in (folder / "service").glob("*.py"))
    return len(re.findall(r"\beventlet\b(?!_)", text))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("branch", BRANCHES)
def test_each_step_leaves_a_working_service(tmp_path, branch):
    """The patches apply in order; before, between and after them all tests pass."""
    for name in ("git", "websockets", "aiohttp"):
        if find_spec(name) is None and shutil.which(name) is None:
            pytest.skip(f"needs {name}")
    folder = tmp_path / "journey"
    shutil.copytree(JOURNEY / "start", folder)
    green = {"EVENTLET_HUB": "asyncio"}
    check(folder, green)
    for step in BRANCHES[branch]:
        patch = JOURNEY / f"{step}.patch"
        run(["git", "apply", "--whitespace=error", str(patch)], folder)
        check(folder, LEFT if step == BRANCHES[branch][-1] else green)
    assert mentions(folder) == 0
    scan = [sys.executable, "-m", "eventlet_asyncio", "scan", "--no-cache", "service"]
    run(scan, folder)


def test_every_step_is_on_the_page():
    """The page includes each patch, in order, and there are no others."""
    page = PAGE.read_text()
    shown = re.findall(r"\.\./journey/(\S+)\.patch", page)
    assert shown == [*SHARED, *BRANCHES["threads"][3:], *BRANCHES["asyncio"][3:]]
    there = {
        path.relative_to(JOURNEY).with_suffix("").as_posix()
        for path in JOURNEY.rglob("*.patch")
    }
    assert there == set(shown)


def test_first_step_moves_all_of_eventlet_into_one_module(tmp_path):
    """After it only the façade names Eventlet, and a scan still finds every use."""
    folder = tmp_path / "journey"
    shutil.copytree(JOURNEY / "start", folder)
    before = mentions(folder)
    run(["git", "apply", str(JOURNEY / "1-facade.patch")], folder)
    facade = (folder / "service" / "concurrency.py").read_text()
    (folder / "service" / "concurrency.py").unlink()
    assert before > 20
    assert mentions(folder) == 0
    assert "import" in facade
