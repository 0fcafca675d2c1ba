"""
The analysis engine, as the commands of the migration kit use it.

It is part of the native module, yet needs neither eventlet nor an activation: sources are
read, never imported. Requests and answers are JSON; an answer says what to print and how
to exit.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

TARGETS = ("asyncio", "threads", "both")


def add_common(parser: argparse.ArgumentParser, *, paths: str = "*") -> None:
    """
    Add what all commands of the engine take.

    Args:
        parser: The command's parser.
        paths: How many paths it takes, as ``nargs``.
    """
    parser.add_argument(
        "paths", nargs=paths, metavar="PATH", help="files and folders; default: ."
    )
    parser.add_argument(
        "--target",
        choices=TARGETS,
        default="",
        help="what the code is to become; default: both, or the configuration's",
    )
    parser.add_argument(
        "--config",
        metavar="FILE",
        help="the pyproject.toml with [tool.eventlet-asyncio]; default: the nearest",
    )
    parser.add_argument(
        "--color",
        choices=("auto", "always", "never"),
        default="auto",
        help="colours; auto: on terminals, unless NO_COLOR is set",
    )
    parser.add_argument(
        "--no-cache",
        action="store_true",
        help="read every file anew, and keep nothing for the next time",
    )


def request(command: str, options: argparse.Namespace, **more: Any) -> dict[str, Any]:
    """Build the request of a command from its options."""
    from eventlet_asyncio import __version__

    paths: Sequence[str] = getattr(options, "paths", None) or ["."]
    folder = str(Path.cwd())
    found: dict[str, Any] = {
        "command": command,
        "paths": list(paths),
        "folder": folder,
        "target": options.target,
        "config": options.config,
        "color": wants_color(options.color),
        "cache": None if options.no_cache else str(cache_file(folder, paths)),
        "version": __version__,
    }
    return found | more


def ask(what: dict[str, Any]) -> tuple[int, str, str]:
    """
    Put a request to the engine.

    Returns:
        The exit status, what to print, and what to print as messages.
    """
    from eventlet_asyncio import _core

    answer = json.loads(_core._scan(json.dumps(what)))  # noqa: SLF001 - one package
    return answer["exit"], answer["out"], answer["err"]


def answer(what: dict[str, Any]) -> int:
    """Put a request to the engine and print the answer; return the exit status."""
    status, out, err = ask(what)
    sys.stderr.write(err)
    write(out)
    return status


def write(text: str) -> None:
    """Print a text, whatever the terminal's encoding, and whoever stops reading."""
    stream = getattr(sys.stdout, "buffer", None)
    try:
        if stream is None:
            sys.stdout.write(text)
        else:
            sys.stdout.flush()
            stream.write(text.encode("utf-8", "replace"))
            stream.flush()
    except BrokenPipeError:
        # Nobody reads on: not worth a traceback, now or when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def wants_color(choice: str) -> bool:
    """Decide about colours as terminals and their users expect."""
    if choice != "auto":
        return choice == "always"
    return (
        sys.stdout.isatty()
        and not os.environ.get("NO_COLOR")
        and os.environ.get("TERM") != "dumb"
    )


def cache_file(folder: str, paths: Sequence[str]) -> Path:
    """Name the file that keeps what is known of these paths."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    key = hashlib.sha256("\0".join([folder, *paths]).encode()).hexdigest()[:16]
    return Path(home) / "eventlet-asyncio" / f"scan-{key}.bin"
