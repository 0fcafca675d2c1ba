"""
Write the scanner's table of Eventlet's names from this project's stubs.

The scanner must know what the product offers, under every name that it has: which
module of Eventlet defines a name, and what the members of its classes are. Stubs say
what there is; the overlay's sources, read but not run, say where it comes from.

Run without arguments to write the table, with ``--check`` to compare it.
"""

from __future__ import annotations

import ast
import json
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
STUBS = ROOT / "python" / "eventlet-stubs"
PACKAGE = ROOT / "python" / "eventlet_asyncio"
TABLE = ROOT / "src" / "scan" / "data" / "names.json"
OVERLAY = "eventlet_asyncio._overlay."
NATIVE = "eventlet_asyncio._core"
# The member of classes whose members are not all known.
ANY = "*"


def source_of(module: str) -> Path | None:
    """Find the file of a module of the overlay."""
    base = PACKAGE / "_overlay" / Path(*module.split("."))
    for path in (base / "__init__.py", base.with_suffix(".py")):
        if path.is_file():
            return path
    return None


def stub_of(module: str) -> Path | None:
    """Find the stub of a module."""
    base = STUBS.joinpath(*module.split(".")[1:])
    for path in (base / "__init__.pyi", base.with_suffix(".pyi")):
        if path.is_file():
            return path
    return None


@cache
def bindings(path: Path, module: str) -> dict[str, ast.AST | tuple[str, str]]:
    """Map a file's top-level names to what defines them, or to (module, name)."""
    found: dict[str, ast.AST | tuple[str, str]] = {}
    package = path.name.startswith("__init__")

    def visit(body: list[ast.stmt]) -> None:
        for node in body:
            match node:
                case ast.FunctionDef() | ast.ClassDef() | ast.AsyncFunctionDef():
                    found[node.name] = node
                case ast.ImportFrom():
                    base = node.module or ""
                    if node.level:
                        parts = module.split(".")
                        parts = parts[: len(parts) - node.level + package]
                        base = ".".join([*parts, base] if base else parts)
                    for alias in node.names:
                        bound = alias.asname or alias.name
                        found[bound] = (base.removeprefix(OVERLAY), alias.name)
                case ast.Import():
                    for alias in node.names:
                        if alias.asname:
                            found[alias.asname] = (alias.name, "")
                case ast.Assign(targets=[ast.Name(id=name)], value=value):
                    if isinstance(value, ast.Name) and value.id != name:
                        found[name] = (module, value.id)
                    else:
                        found[name] = node
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found[name] = node
                case ast.If():
                    visit(node.body)
                    visit(node.orelse)
                case ast.Try():
                    visit(node.body)
                    for handler in node.handlers:
                        visit(handler.body)

    visit(ast.parse(path.read_text()).body)
    return found


def is_public(module: str) -> bool:
    """Tell whether programs may name a module."""
    return not any(part.startswith("_") for part in module.split("."))


def is_module(name: str) -> bool:
    """Tell whether the stubs have a module of this name."""
    return name.split(".", maxsplit=1)[0] == "eventlet" and stub_of(name) is not None


def canonical(module: str, name: str, seen: frozenset[str] = frozenset()) -> str:
    """Follow a name to the public module of Eventlet that defines it."""
    key = f"{module}.{name}"
    if is_module(key) or key in seen:
        return key
    if module.startswith("eventlet.green.") or module == "eventlet.green":
        return key
    for path in (source_of(module), stub_of(module)):
        entry = bindings(path, module).get(name) if path else None
        if isinstance(entry, tuple):
            target, inner = entry
            if not inner or target.split(".")[0] != "eventlet":
                return key
            answer = canonical(target, inner, seen | {key})
            owner = answer.rpartition(".")[0]
            is_better = is_public(owner) and not inner.startswith("_")
            return answer if is_better or is_module(answer) else key
        if entry is not None:
            return key
    return key


def definition(name: str) -> tuple[ast.ClassDef, str] | None:
    """Find the class behind a canonical name, with the module that it stands in."""
    module, _, inner = name.rpartition(".")
    for _step in range(8):
        path = source_of(module)
        if path is None:
            return None
        entry = bindings(path, module).get(inner)
        if isinstance(entry, ast.ClassDef):
            return entry, module
        if not isinstance(entry, tuple):
            return None
        module, inner = entry
        if module == NATIVE:
            native = bindings(PACKAGE / "_core.pyi", module).get(inner)
            return (native, module) if isinstance(native, ast.ClassDef) else None
    return None


def members(node: ast.ClassDef, module: str) -> list[str]:
    """List what instances and the class itself have by their definition."""
    found: set[str] = set()
    plain = {"object", "Exception", "BaseException", "Generic", "Protocol"}
    for base in node.bases:
        name = ast.unparse(base).split("[")[0]
        if name not in plain and module != NATIVE and not base_names(node, module):
            # Of a class elsewhere, it has what that has.
            found.add(ANY)
    if module == NATIVE:
        # Bases there have no public name of their own.
        for base in node.bases:
            name = ast.unparse(base).split("[")[0]
            parent = bindings(PACKAGE / "_core.pyi", NATIVE).get(name)
            if isinstance(parent, ast.ClassDef):
                found.update(members(parent, NATIVE))
    for part in ast.walk(node):
        match part:
            case ast.FunctionDef(name="__getattr__"):
                found.add(ANY)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                found.add(part.name)
            case ast.Attribute(value=ast.Name(id="self"), ctx=ast.Store()):
                found.add(part.attr)
    for part in node.body:
        match part:
            case ast.Assign():
                found |= {t.id for t in part.targets if isinstance(t, ast.Name)}
            case ast.AnnAssign(target=ast.Name(id=name)):
                found.add(name)
    return sorted(name for name in found if not name.startswith("_"))


def base_names(node: ast.ClassDef, module: str) -> list[str]:
    """List those of a class's bases that are Eventlet's."""
    found = []
    for base in node.bases:
        text = ast.unparse(base).split("[")[0]
        if "." not in text:
            name = canonical(module, text) if source_of(module) else ""
        else:
            first, _, rest = text.rpartition(".")
            path = source_of(module)
            entry = bindings(path, module).get(first) if path else None
            name = ""
            if isinstance(entry, tuple):
                target = f"{entry[0]}.{entry[1]}".rstrip(".")
                name = canonical(target, rest)
        if name.startswith("eventlet.") and definition(name):
            found.append(name)
    return found


def table() -> dict[str, object]:
    """Build the table."""
    modules, names, aliases = [], {}, {}
    classes: dict[str, dict[str, list[str]]] = {}
    for path in sorted(STUBS.rglob("*.pyi")):
        parts = path.relative_to(STUBS).with_suffix("").parts
        module = ".".join(["eventlet", *(p for p in parts if p != "__init__")])
        if not is_public(module):
            continue
        modules.append(module)
        found = []
        for name in sorted(bindings(path, module)):
            if name.startswith("_") and name not in {"__version__", "_threading"}:
                continue
            key = f"{module}.{name}"
            found.append(name)
            target = canonical(module, name)
            if target != key:
                aliases[key] = target
            elif described := definition(key):
                classes[key] = {
                    "bases": base_names(*described),
                    "members": members(*described),
                }
        names[module] = found
    return {
        "modules": sorted(modules),
        "names": names,
        "aliases": aliases,
        "classes": classes,
    }


def main() -> int:
    """Write or compare the table; 1 if it differs."""
    text = json.dumps(table(), indent=1, sort_keys=True) + "\n"
    if "--check" in sys.argv[1:]:
        if TABLE.read_text() != text:
            print(f"{TABLE.relative_to(ROOT)} is not what the stubs say: ", end="")
            print("run python tools/scan_names.py")
            return 1
        return 0
    TABLE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
