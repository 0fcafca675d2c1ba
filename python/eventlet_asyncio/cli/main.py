"""
Read the command line and hand over to a subcommand.

A subcommand is a module with ``register``, which adds its parser and sets
``run`` as that parser's default; modules are imported here, so they keep what
is heavy inside ``run``.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from eventlet_asyncio.cli import doctor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """
    Run one subcommand.

    Args:
        arguments: What follows the program's name; ``None`` takes ``sys.argv``.

    Returns:
        The process's exit status.
    """
    parser = argparse.ArgumentParser(
        prog="eventlet-asyncio",
        description="Eventlet on asyncio, with a native engine.",
    )
    subparsers = parser.add_subparsers(required=True, metavar="command")
    for subcommand in (doctor,):
        subcommand.register(subparsers)
    options = parser.parse_args(arguments)
    run: Callable[[argparse.Namespace], int] = options.run
    return run(options)
