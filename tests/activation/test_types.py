"""Type checkers find the stubs where the wheel is installed, whatever else is."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("mypy", reason="mypy is in the dependency group lint")

PROGRAM = "import eventlet\neventlet.sleep(1)\neventlet.sleep('x')\n"


@pytest.mark.parametrize("environment", ["alone", "beside_upstream"])
def test_type_checker_finds_the_stubs(environment, request, tmp_path):
    """Mypy finds the wrong argument, and finds no fault with the import."""
    installed = request.getfixturevalue(environment)
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = ["--config-file=", "--strict", "--cache-dir", str(tmp_path / "cache")]
    options += ["--python-executable", str(installed.python)]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, program.name],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.count("error") == 2, done.stdout + done.stderr
    assert f'{program.name}:3: error: Argument 1 to "sleep"' in done.stdout
