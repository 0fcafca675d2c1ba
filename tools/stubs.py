"""
Write the stub packages from which type checkers know ``eventlet`` and ``greenlet``.

At run time a finder puts the overlay in ``eventlet``'s place; a type checker runs no
finder, but looks into ``eventlet-stubs`` and ``greenlet-stubs`` (PEP 561). Each stub hands on what the overlay's
module of the same name defines, so that there is one definition of everything, and
"go to definition" shows the code that runs. Private modules have stubs too: the overlay's
own imports go through the same names.

A green module has beside that what its standard twin has. Ours stand before the star and
behind it: of two imports of a name, mypy takes the first and pyright the last.

Usage: ``python tools/stubs.py [--check]``.
"""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path

PYTHON = Path(__file__).parents[1] / "python"
OVERLAY = PYTHON / "eventlet_asyncio" / "_overlay" / "eventlet"
GREENLET = OVERLAY.parent / "greenlet" / "__init__.py"
PACKAGES = ("eventlet-stubs", "greenlet-stubs")
HEAD = "# Written by tools/stubs.py.\n"

# Green modules whose twin has another name.
TWINS = {
    "BaseHTTPServer": "http.server",
    "CGIHTTPServer": "http.server",
    "Queue": "queue",
    "SimpleHTTPServer": "http.server",
    "SocketServer": "socketserver",
    "builtin": "builtins",
    "httplib": "http.client",
    "thread": "_thread",
    "urllib2": "urllib.request",
}
# It takes nothing over from its twin, whose other functions would block.
WITHOUT_TWIN = {"select"}
# What these take over may not be there, and has no type.
MAY_BE_MISSING = {"MySQLdb", "OpenSSL", "asynchat", "asyncore", "zmq"}
UNTYPED = {"support.greendns"}
UNKNOWN = "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n"


def twin_of(module: str) -> str | None:
    """Name the module that a green module stands for; None for all others."""
    package, _, name = module.partition(".")
    if package != "green" or not name or name in WITHOUT_TWIN or name.startswith("_"):
        return None
    return TWINS.get(name, name)


def assigned(statement: ast.stmt) -> tuple[list[ast.expr], ast.expr | None]:
    """Return what a statement assigns to, and what it assigns."""
    if isinstance(statement, ast.Assign):
        return statement.targets, statement.value
    if isinstance(statement, ast.AnnAssign):
        return [statement.target], statement.value
    return [], None


def literal_names(value: ast.expr | None) -> list[str]:
    """Read a list of names; an empty one if it is made by a program."""
    try:
        return list(ast.literal_eval(value)) if value else []
    except ValueError:
        return []


def is_borrowed(value: ast.expr | None) -> bool:
    """Tell whether a value is an attribute of a module that only runs will show."""
    return (
        isinstance(value, ast.Attribute)
        and isinstance(value.value, ast.Name)
        and value.value.id.startswith("_")
    )


def shared_names() -> set[tuple[str, str]]:
    """List the private names that modules import from others, each with its module."""
    return {
        (statement.module.removeprefix("eventlet."), alias.name)
        for path in OVERLAY.rglob("*.py")
        for statement in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(statement, ast.ImportFrom) and statement.module
        for alias in statement.names
        if alias.name.startswith("_")
    }


SHARED = shared_names()


def names_of(module: str, source: str) -> list[str]:
    """List what a module defines for others, and what it says it has."""
    defined: set[str] = set()
    promised: set[str] = set()
    imported: set[str] = set()
    own_imports: set[str] = set()
    pending = list(ast.parse(source).body)
    while pending:
        statement = pending.pop()
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            defined.add(statement.name)
        elif isinstance(statement, ast.ImportFrom | ast.Import):
            names = {alias.asname or alias.name for alias in statement.names}
            imported |= names
            if (getattr(statement, "module", None) or "").startswith("eventlet"):
                own_imports |= names
        elif isinstance(statement, ast.If | ast.Try):
            pending += [*statement.body, *statement.orelse]
            pending += getattr(statement, "finalbody", [])
            for handler in getattr(statement, "handlers", []):
                pending += handler.body
        targets, value = assigned(statement)
        for node in (node for target in targets for node in ast.walk(target)):
            if not isinstance(node, ast.Name):
                continue
            if node.id in {"__all__", "__patched__"}:
                promised.update(literal_names(value))
            elif not (twin_of(module) and is_borrowed(value)):
                defined.add(node.id)
    # Without `__all__` upstream's modules show what they import, and programs use it.
    handed_on = {name for name in imported & promised if not name.startswith("_")}
    shown = handed_on or own_imports
    public = {name for name in defined | shown if not name.startswith("_")}
    shared = {name for name in defined | imported if (module, name) in SHARED}
    return sorted(public | shared)


def imports(module: str, names: list[str]) -> str:
    """Write the import that hands names on."""
    if not names:
        return ""
    listed = "".join(f"    {name} as {name},\n" for name in names)
    return f"from {module} import (\n{listed})\n"


def stub_of(module: str, source: str) -> str:
    """Write the stub of a module, named as behind ``eventlet.``."""
    twin = twin_of(module)
    own = imports(
        f"eventlet_asyncio._overlay.eventlet.{module}", names_of(module, source)
    )
    if module in UNTYPED or (twin and twin.split(".")[0] in MAY_BE_MISSING):
        return HEAD + own + UNKNOWN
    if twin is None:
        return HEAD + own
    return f"{HEAD}{own}from {twin} import *\n{own}"


def table(source: str, name: str) -> ast.expr:
    """Find what is assigned to a name in a module."""
    for statement in ast.parse(source).body:
        targets, value = assigned(statement)
        for target in targets:
            if value and isinstance(target, ast.Name) and target.id == name:
                return value
    raise LookupError(name)


def top_stub(source: str) -> str:
    """Write the stub of ``eventlet`` itself, which imports nothing before it is used."""
    call = table(source, "_SUBMODULES")
    assert isinstance(call, ast.Call)
    lines = [
        f"from eventlet import {module} as {module}\n"
        for module in sorted(ast.literal_eval(call.args[0]))
    ]
    found = ast.literal_eval(table(source, "_NAMES"))
    for name, (module, own) in sorted(found.items()):
        alias = f"from eventlet.{module} import {own} as {own}\n"
        lines.append(alias if own == name else f"{name} = {own}\n")
    own = ["EventletDeprecationWarning", "__version__", "version_info"]
    return HEAD + "".join(lines) + imports("eventlet_asyncio._overlay.eventlet", own)


def greenlet_stubs() -> dict[Path, str]:
    """Make the stubs of ``greenlet`` and of the module that is native in greenlet."""
    source = GREENLET.read_text(encoding="utf-8")
    promised = literal_names(table(source, "__all__"))
    overlay = "eventlet_asyncio._overlay.greenlet"
    shown = sorted({*names_of("", source), *promised})
    native = [name for name in promised if not name.startswith("_")]
    return {
        Path("greenlet-stubs/__init__.pyi"): HEAD + imports(overlay, shown),
        Path("greenlet-stubs/_greenlet.pyi"): HEAD + imports(overlay, native),
    }


def stubs() -> dict[Path, str]:
    """Make all stubs, by their path below the packages."""
    made = greenlet_stubs()
    for path in sorted(OVERLAY.rglob("*.py")):
        place = path.relative_to(OVERLAY)
        source = path.read_text(encoding="utf-8")
        parts = place.with_suffix("").parts
        module = ".".join(part for part in parts if part != "__init__")
        text = stub_of(module, source) if module else top_stub(source)
        made[Path("eventlet-stubs") / place.with_suffix(".pyi")] = text
    return made


def main(arguments: list[str]) -> str | None:
    """Write the stubs, or with ``--check`` say whether they are as they should be."""
    made = stubs()
    if arguments == ["--check"]:
        found = {
            path.relative_to(PYTHON): path.read_text(encoding="utf-8")
            for package in PACKAGES
            for path in (PYTHON / package).rglob("*.pyi")
        }
        differing = sorted(
            str(path)
            for path in made.keys() | found.keys()
            if made.get(path) != found.get(path)
        )
        if differing:
            return f"run python tools/stubs.py; these differ: {', '.join(differing)}"
        return None
    for package in PACKAGES:
        shutil.rmtree(PYTHON / package, ignore_errors=True)
    for path, text in made.items():
        (PYTHON / path).parent.mkdir(parents=True, exist_ok=True)
        (PYTHON / path).write_text(text, encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
