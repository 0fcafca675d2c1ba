"""Fixtures for all tests: processes of their own, and time that runs out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

import eventlet_asyncio

if TYPE_CHECKING:
    from collections.abc import Mapping

# Before any test module imports eventlet, whatever the environment says.
eventlet_asyncio.activate()

# Beside the variables that a case sets itself, a program gets these: enough to
# run, and nothing that would steer which eventlet it loads.
_KEPT = ("HOME", "LANG", "LD_LIBRARY_PATH", "PATH", "SYSTEMROOT", "TMPDIR")


class Budget:
    """Time that a test has in all, to be shared out among its waits."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.restart()

    def restart(self) -> None:
        """Give the whole time again, after a preparation that may take long."""
        self._end = time.monotonic() + self._seconds

    def remaining(self) -> float:
        """Return the seconds left; fail once there are none."""
        left = self._end - time.monotonic()
        if left <= 0:
            pytest.fail("the test's time budget is used up")
        return left


class RunIsolated(Protocol):
    """Call signature of :func:`run_isolated`."""

    def __call__(
        self,
        program: str | Path,
        env: Mapping[str, str] | None = None,
        *,
        python: str | Path = sys.executable,
        options: tuple[str, ...] = (),
        status: int = 0,
    ) -> subprocess.CompletedProcess[str]:
        """Run the program and return how it ended and what it printed."""


@pytest.fixture
def budget(request: pytest.FixtureRequest) -> Budget:
    """Give the test two thirds of its time limit: 40 seconds unless it is marked."""
    limit = request.node.get_closest_marker("timeout")
    return Budget((limit.args[0] if limit else 60) * 2 / 3)


@pytest.fixture
def run_isolated(tmp_path: Path, budget: Budget) -> RunIsolated:
    """
    Run a program in a process of its own and check how it ended.

    The program is a path or a source text.  It gets a clean environment plus
    ``env``, an empty working directory, and must leave with ``status``.
    A death by signal always fails the test, and so does a core file.
    """

    def run(
        program: str | Path,
        env: Mapping[str, str] | None = None,
        *,
        python: str | Path = sys.executable,
        options: tuple[str, ...] = (),
        status: int = 0,
    ) -> subprocess.CompletedProcess[str]:
        source = [str(program)] if isinstance(program, Path) else ["-c", program]
        directory = tmp_path / "isolated"
        directory.mkdir(exist_ok=True)
        try:
            done = subprocess.run(
                [str(python), "-X", "faulthandler", *options, *source],
                env={name: os.environ[name] for name in _KEPT if name in os.environ}
                | dict(env or {}),
                cwd=directory,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=budget.remaining(),
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            pytest.fail(f"no end within {late.timeout:.0f} s\n{_shown(late)}")
        if done.returncode < 0:
            name = signal.Signals(-done.returncode).name
            pytest.fail(f"killed by {name}\n{_shown(done)}")
        if done.returncode != status:
            pytest.fail(f"left with status {done.returncode}\n{_shown(done)}")
        cores = [entry.name for entry in directory.glob("core*")]
        assert cores == []
        return done

    return run


def _shown(
    end: subprocess.CompletedProcess[str] | subprocess.TimeoutExpired,
) -> str:
    """Lay out what a program has printed."""
    parts = []
    for name in ("stdout", "stderr"):
        text = getattr(end, name) or ""
        if isinstance(text, bytes):
            text = text.decode(errors="replace")
        parts.append(f"--- {name}\n{text}")
    return "\n".join(parts)
