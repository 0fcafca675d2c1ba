"""``rewrite``: change sources by rules."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from eventlet_asyncio.cli import _engine
from eventlet_asyncio.cli.scan import words

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

#: Options that take a value.
VALUED = ("--target", "--config", "--color", "--module")


def configure(parser: argparse.ArgumentParser) -> None:
    """Describe the arguments."""
    parser.usage = (
        "eventlet-asyncio rewrite RULE... --check|--diff|--write [--unsafe] [PATH...]"
    )
    parser.description = (
        "Change sources by rules (EV102), by groups of them (sleep, green), by all, "
        "or move every import of Eventlet into one module (facade --module NAME). "
        "Only what is proved to be safe is changed, unless --unsafe asks for more. "
        "What does not come out right is put back."
    )
    _engine.add_common(parser)
    mode = parser.add_mutually_exclusive_group(required=True)
    for name, summary in (
        ("check", "say which files would change; exit with 1 if there are any"),
        ("diff", "print the changes; exit with 1 if there are any"),
        ("write", "make the changes"),
    ):
        mode.add_argument(
            f"--{name}", dest="mode", action="store_const", const=name, help=summary
        )
    parser.add_argument(
        "--unsafe",
        action="store_true",
        help="make changes that may alter what the program does, too",
    )
    parser.add_argument(
        "--force",
        action="store_true",
        help="write although files have changes that are not committed",
    )
    parser.add_argument(
        "--module", default="", metavar="NAME", help="for facade: the module's name"
    )
    parse = parser.parse_known_args

    def parse_sorted(
        args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        return parse(options_first(list(args or ())), namespace)

    # Rules stand before the options and paths behind them, which argparse takes for
    # two lists although there is one.
    parser.parse_known_args = parse_sorted  # type: ignore[method-assign, assignment]


def options_first(arguments: list[str]) -> list[str]:
    """Move options with their values before everything else."""
    found: list[str] = []
    others: list[str] = []
    rest = iter(arguments)
    for word in rest:
        if word in VALUED:
            found += [
                word,
                *[value for value in [next(rest, None)] if value is not None],
            ]
        elif word.startswith("-"):
            found.append(word)
        else:
            others.append(word)
    return found + others


def run(options: argparse.Namespace) -> int:
    """Change, or say what would change."""
    rules, paths = split(options.paths)
    if not rules:
        sys.stderr.write(
            "eventlet-asyncio: rewrite needs rules, such as EV102, sleep or all\n"
        )
        return 2
    options.paths = paths
    return _engine.answer(
        _engine.request(
            "rewrite",
            options,
            rules=rules,
            mode=options.mode,
            unsafe_too=options.unsafe,
            force=options.force,
            module=options.module,
        )
    )


def split(given: list[str]) -> tuple[list[str], list[str]]:
    """Tell rules from paths: a rule is a name that the table has, and comes first."""
    status, out, _ = _engine.ask({"command": "groups"})
    known = set(out.split()) if status == 0 else set()
    rules: list[str] = []
    rest = list(given)
    while rest:
        parts = words([rest[0]])
        if not rules and not parts:
            break
        is_rule = all(
            part.lower() in known
            or (part.upper().startswith("EV") and part[2:].isdigit())
            for part in parts
        )
        # The first is one in any case, so that a misspelt rule is told as such.
        if not is_rule and rules:
            break
        rules += parts
        del rest[0]
    return rules, rest
