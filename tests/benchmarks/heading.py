"""What a benchmark says first: what it ran on."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path


def print_heading() -> None:
    """Print the machine, the interpreter and the commit that is measured."""
    print(
        f"{platform.machine()} x{os.cpu_count()}, {platform.system()} "
        f"{platform.release()}, Python {platform.python_version()}, commit {commit()}"
    )
    sys.stdout.flush()


def commit() -> str:
    """Name the commit that is measured, if this is a checkout."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
