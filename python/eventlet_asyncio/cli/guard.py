"""``guard``: run a command whose Python processes must not use Eventlet."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from typing import TYPE_CHECKING

from eventlet_asyncio._activate import coded

if TYPE_CHECKING:
    from collections.abc import Sequence

VARIABLE = "EVENTLET_ASYNCIO_GUARD"
MODES = ("error", "warn", "count")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.usage = "eventlet-asyncio guard [--mode error|warn|count] -- COMMAND..."
    parser.description = (
        "Run COMMAND with the environment variable EVENTLET_ASYNCIO_GUARD, so that "
        "'import eventlet', monkey_patch() and greenlet switches are forbidden, "
        "warned of or counted in it and in the Python processes that it starts. "
        "The exit status is the command's."
    )
    parser.add_argument(
        "--mode",
        choices=MODES,
        default="error",
        help="'error' (the default) forbids: an import fails with an ImportError; "
        "'warn' prints a warning for each place; 'count' prints, when a process "
        "ends, how often each place was reached",
    )
    parser.add_argument(
        "command", nargs=argparse.REMAINDER, help="the command and its arguments"
    )


def run(options: argparse.Namespace) -> int:
    """
    Become the command.

    Returns:
        2 if there is no such command; otherwise this does not return.
    """
    command: Sequence[str] = options.command
    if command and command[0] == "--":
        command = command[1:]
    if not command:
        return _refuse(
            "EA205", "guard needs a command: eventlet-asyncio guard -- COMMAND"
        )
    program = shutil.which(command[0])
    if program is None:
        return _refuse("EA206", f"there is no command {command[0]!r}")
    sys.stdout.flush()
    sys.stderr.flush()
    environment = os.environ | {VARIABLE: options.mode}
    try:
        os.execve(program, list(command), environment)  # noqa: S606 - its purpose
    except OSError as error:
        return _refuse("EA206", f"{program} does not start: {error.strerror}")


def _refuse(code: str, text: str) -> int:
    sys.stderr.write(f"eventlet-asyncio guard: {coded(code, text)}\n")
    return 2
