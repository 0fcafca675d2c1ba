"""Removes statements from a program for as long as it shows the same."""

from __future__ import annotations

import copy
import json

from traces import COMPOUND


def shrink(program, fails, tries=60):
    """
    Return a smaller program that still fails.

    Args:
        program: What to begin with.
        fails: Tells whether a program shows the difference.
        tries: How many programs may be run for it.
    """
    program = copy.deepcopy(program)
    left = tries
    for body in list(program["bodies"]):
        if program["bodies"][body]:
            trial = copy.deepcopy(program)
            trial["bodies"][body] = []
            left -= 1
            if fails(trial):
                program = trial
    changed = True
    while changed and left > 0:
        changed = False
        for path, index in sorted(
            _places(program), key=lambda it: (len(it[0]), -it[1])
        ):
            for trial in _without(program, path, index):
                left -= 1
                if fails(trial):
                    program = trial
                    changed = True
                    break
            if left <= 0:
                break
    text = json.dumps([program["main"], program["bodies"]])
    for kind in ("bodies", "objs"):
        program[kind] = {
            name: what
            for name, what in program[kind].items()
            if f'"{name}"' in text or (kind == "bodies" and what)
        }
    return program


def _places(program):
    """Return where statements can be removed: pairs of a path and an index."""
    found = []

    def walk(statements, path):
        for index, statement in enumerate(statements):
            found.append((path, index))
            for place, part in enumerate(statement):
                inner = isinstance(part, list) and part and isinstance(part[0], list)
                if inner and statement[0] in COMPOUND:
                    walk(part, [*path, index, place])

    walk(program["main"], ["main"])
    for body, statements in program["bodies"].items():
        walk(statements, ["bodies", body])
    return found


def _without(program, path, index):
    """Give the program without a statement, and without what is around its inner ones."""
    try:
        statement = _at(program, path)[index]
    except (IndexError, KeyError, TypeError):
        return
    if not isinstance(statement, list):
        return
    trial = copy.deepcopy(program)
    del _at(trial, path)[index]
    yield trial
    if statement[0] in COMPOUND:
        inner = [
            part
            for part in statement
            if isinstance(part, list) and part and isinstance(part[0], list)
        ]
        trial = copy.deepcopy(program)
        _at(trial, path)[index : index + 1] = [it for part in inner for it in part]
        yield trial


def _at(program, path):
    found = program
    for step in path:
        found = found[step]
    return found
