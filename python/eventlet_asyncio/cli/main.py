"""
Read the command line and hand over to a subcommand.

A subcommand is a module of this package with two functions: ``configure``, which
adds its arguments to a parser, and ``run``, which does the work and returns the
exit status. Only the module that is asked for is imported: a command starts
quickly, whatever the others need.

Every command ends with 0 if all is well, 1 with findings or problems, and 2 for
wrong use or an error of its own.
"""

from __future__ import annotations

import argparse
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Name of each subcommand, with its line in the help.
COMMANDS = {
    "scan": "find what uses Eventlet, in any form, without importing the code",
    "plan": "say in which order functions change, and where a bridge costs least",
    "rewrite": "change sources by rules, what is safe or what you ask for",
    "explain": "explain a rule of scan, with code before, on the way and after",
    "doctor": "say which eventlet and greenlet load here, and what stands in their way",
    "run": "run a program on this implementation, and collect what it does",
    "guard": "run a command that must not use Eventlet, or count what it uses",
}


class _Version(argparse.Action):
    """Print the version when asked; it is not looked up before."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        import eventlet_asyncio

        sys.stdout.write(f"eventlet-asyncio {eventlet_asyncio.__version__}\n")
        parser.exit()


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one subcommand.

    Args:
        arguments: What follows the program's name; ``None`` takes ``sys.argv``.

    Returns:
        The process's exit status.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    asked = next((word for word in given if not word.startswith("-")), None)
    parser = argparse.ArgumentParser(
        prog="eventlet-asyncio",
        description="Eventlet on asyncio, with a native engine, and the way from "
        "Eventlet to asyncio or to threads.",
        epilog="Exit status: 0 clean, 1 findings or problems, 2 wrong use or an "
        "error of the command's own.",
    )
    _add_version(parser)
    subparsers = parser.add_subparsers(required=True, metavar="command")
    module: Any = None
    for name, summary in COMMANDS.items():
        child = subparsers.add_parser(name, help=summary)
        _add_version(child)
        if name == asked:
            module = import_module(f"eventlet_asyncio.cli.{name}")
            module.configure(child)
    options = parser.parse_args(given)
    try:
        status: int = module.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever read has gone, as `head` does; Python would complain at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception:  # noqa: BLE001 - told, with the status that says whose fault it is
        import traceback

        from eventlet_asyncio._activate import coded

        traceback.print_exc()
        told = coded("EA901", "an error of eventlet-asyncio itself, please report it")
        sys.stderr.write(f"eventlet-asyncio: {told}\n")
        return 2
    return status


def _add_version(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--version", action=_Version, nargs=0, help="print the version and end"
    )
