"""Who may use whom: the layer rule of docs/contributing/style.md, executed."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PACKAGE = ROOT / "python" / "eventlet_asyncio"
OVERLAY = PACKAGE / "_overlay"

# The layers of the crate, from the bottom: each with those it may use.
PURE = {"sched", "stack", "switch"}
TO_GREENLET = PURE | {"pystate", "greenlet"}
TO_GREENTHREAD = TO_GREENLET | {"reactor", "hub", "greenthread"}
LAYERS = {
    "frames": set(),
    "http": set(),
    "sched": set(),
    "stack": {"sched"},
    "switch": {"sched", "stack"},
    "pystate": {"sched", "stack"},
    "greenlet": PURE | {"pystate"},
    "reactor": PURE,
    "hub": TO_GREENLET | {"reactor"},
    "greenthread": TO_GREENLET | {"reactor", "hub"},
    "sync": TO_GREENTHREAD,
    "offload": TO_GREENTHREAD,
    "websocket": TO_GREENTHREAD | {"frames"},
    "wsgi": TO_GREENTHREAD | {"http"},
    "bridge": TO_GREENTHREAD | {"sync", "offload"},
}
LAYERS["module"] = set(LAYERS)
# Open to every layer that has an interpreter.
SHARED = {"error", "imports"}
WITHOUT_PYTHON = PURE | {"frames", "http", "reactor"}

# What only certain files may name, and why nobody else does.
CONFINED = {
    r"\bcorosensei\b": (r"switch/", "switching has one home"),
    r"\blibc::(mmap|munmap|mprotect|madvise)\b": (
        r"stack/mapping\.rs",
        "mappings have one owner",
    ),
    r"\b(tokio|pyo3_async_runtimes)\b": (
        r"(offload|bridge)/",
        "no runtime of others schedules green threads",
    ),
    r"\bhttparse\b": (r"(http|wsgi)/", "requests are read in one place"),
    r"\bruff_\w+": (
        r"scan/src/syntax\.rs",
        "the parser promises no stability, so one file names it",
    ),
    r"\bpyo3\b": (
        r"(?!(frames|http|scan|sched|stack|switch|reactor)/)",
        "the lower layers build without an interpreter",
    ),
}

# Upward from the bottom of the overlay. A name covers its submodules.
ORDER = (
    ("patcher", "_patch", "support"),
    ("hubs", "timeout"),
    ("greenthread",),
    (
        *("asyncio", "corolocal", "coros", "dagpool", "event", "greenpool", "lock"),
        *("pools", "queue", "semaphore", "tpool"),
    ),
    ("greenio",),
    ("green", "_patch.threads", "support.greendns", "support.psycopg2_patcher"),
    (
        *("_db_connection", "_websocket", "_wsgi", "backdoor", "convenience"),
        *("db_pool", "websocket", "wsgi"),
    ),
)
# The overlay's modules that stand directly on the native one.
NATIVE = (
    *(
        "",
        "asyncio",
        "corolocal",
        "debug",
        "event",
        "greenio",
        "greenthread",
        "hubs",
        "lock",
    ),
    *("queue", "semaphore", "support", "timeout", "tpool"),
    # Locks of the import system, which may import nothing when they are used.
    "_patch.hybrid",
    *("_websocket", "_wsgi"),
)


def code_of(text):
    """Return Rust source without comments and strings."""
    pattern = r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"'
    return re.sub(pattern, "", text, flags=re.DOTALL)


def layer_of(path):
    """Name the layer that a file of the crate belongs to."""
    return Path(path).parts[0].removesuffix(".rs")


def crate_names(code, *, top):
    """
    Find which modules of the crate a file names.

    Args:
        code: Rust source without comments.
        top: Whether ``super`` means the crate's root in this file.
    """
    root = r"(?:crate|super)" if top else "crate"
    names = set(re.findall(rf"\b{root}::(\w+)", code))
    for group in re.findall(rf"\b{root}::\{{(.*?)\}};", code, re.DOTALL):
        flat = group
        while (inner := re.sub(r"\{[^{}]*\}", "", flat)) != flat:
            flat = inner
        names.update(re.findall(r"(?:^|,)\s*(\w+)", flat))
    return names


def rust_violations(path, text):
    """List what a file of the crate names and may not."""
    layer, code = layer_of(path), code_of(text)
    found = []
    if layer in LAYERS:
        shared = set() if layer in WITHOUT_PYTHON else SHARED
        allowed = LAYERS[layer] | shared | {layer}
        top = Path(path).name == "mod.rs" or "/" not in path
        named = crate_names(code, top=top) & (set(LAYERS) | SHARED)
        found += [f"{path}: {layer} may not use {name}" for name in named - allowed]
    elif layer in SHARED:
        named = crate_names(code, top=True) & set(LAYERS)
        found += [f"{path}: {layer} may use no layer, yet {name}" for name in named]
    for pattern, (home, reason) in CONFINED.items():
        match = re.search(pattern, code)
        if match and not re.match(home, path):
            found.append(f"{path}: {match[0]} does not belong here: {reason}")
    return sorted(found)


def imports_of(text, module, *, package):
    """
    List the modules that a Python file imports, as (name, at the top level).

    Args:
        text: The file's source.
        module: The file's public module name, for relative imports.
        package: Whether the file is a package's ``__init__``.
    """
    tree = ast.parse(text)
    deferred = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or (
            isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        ):
            deferred.update(ast.walk(node))
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = module.split(".")
                parts = parts[: len(parts) - node.level + package]
                base = ".".join(parts + base.split(".") * bool(base))
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        found += [(name, node not in deferred) for name in names]
    return found


def rank(name):
    """Return how far up the overlay a module stands; the top where unlisted."""
    inner = name.removeprefix("eventlet").removeprefix(".")
    fits = [
        (len(entry), level)
        for level, entries in enumerate(ORDER)
        for entry in entries
        if inner == entry or inner.startswith(f"{entry}.")
    ]
    return max(fits)[1] if fits else len(ORDER)


def overlay_violations(module, text, *, package=False):
    """List what a module of the overlay imports and may not."""
    found = []
    inner = module.removeprefix("eventlet").removeprefix(".")
    native = module == "greenlet" or bool({inner, inner.split(".")[0]} & set(NATIVE))
    for name, at_top in imports_of(text, module, package=package):
        if name.startswith("eventlet_asyncio"):
            part = name.split(".")[1] if "." in name else ""
            allowed = {"_activate"} | ({"_core"} if native else set())
            if part not in allowed:
                found.append(f"{module} may not import {name}")
        elif name.startswith("eventlet.") and at_top and inner:
            # A package's own parts are its own affair.
            same = name.split(".")[1] == inner.split(".")[0]
            if not same and rank(name) > rank(module):
                found.append(f"{module} stands below {name}")
    return found


def rust_files():
    """List the crate's files by their path under src/."""
    return sorted(str(path.relative_to(SOURCE)) for path in SOURCE.rglob("*.rs"))


def overlay_files():
    """List the overlay's files with the module names they are imported by."""
    for path in sorted(OVERLAY.rglob("*.py")):
        parts = path.relative_to(OVERLAY).with_suffix("").parts
        package = parts[-1] == "__init__"
        yield path, ".".join(parts[:-1] if package else parts), package


@pytest.mark.parametrize("path", rust_files())
def test_rust_file_uses_only_lower_layers(path):
    """A layer names only layers to its left, and keeps what is confined to it."""
    assert rust_violations(path, (SOURCE / path).read_text()) == []


def test_overlay_modules_import_only_what_is_below():
    """The overlay stands on the native module, on itself, and in order."""
    found = []
    for path, module, package in overlay_files():
        found += overlay_violations(module, path.read_text(), package=package)
    assert found == []


def test_activation_imports_the_standard_library_only():
    """What runs before eventlet is chosen needs nothing that is installed."""
    text = (PACKAGE / "_activate.py").read_text()
    names = imports_of(text, "eventlet_asyncio._activate", package=False)
    foreign = {name.split(".")[0] for name, _ in names} - sys.stdlib_module_names
    assert foreign == set()


def test_nobody_imports_the_overlay_by_its_path():
    """The overlay's modules are imported by their public names everywhere."""
    found = [
        str(path.relative_to(ROOT))
        for folder in (PACKAGE, ROOT / "tests", ROOT / "docs")
        for path in folder.rglob("*.py")
        for name, _ in imports_of(path.read_text(), "", package=False)
        if name.startswith("eventlet_asyncio._overlay")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("sched/mod.rs", "use crate::hub::Hub;", "sched may not use hub"),
        ("hub/mod.rs", "use crate::sched::Ready; // crate::bridge", None),
        ("hub/mod.rs", "use crate::{sched, sync::Event};", "hub may not use sync"),
        ("hub/mod.rs", "use crate::{sched::{a, sync}};", None),
        ("hub/turn.rs", "fn f() { crate::bridge::g() }", "hub may not use bridge"),
        ("greenlet/mod.rs", "use super::hub;", "greenlet may not use hub"),
        ("greenlet/gc.rs", "use super::hub;", None),
        ("stack/pool.rs", "use crate::error::Error;", "stack may not use error"),
        ("error.rs", "use crate::hub::Hub;", "error may use no layer, yet hub"),
        ("hub/mod.rs", "use corosensei::Yielder;", "one home"),
        ("stack/pool.rs", "libc::mmap(p)", "one owner"),
        ("hub/mod.rs", "tokio::spawn(f)", "no runtime of others"),
        ("reactor/mod.rs", "use pyo3::prelude::*;", "without an interpreter"),
        ("greenlet/gc.rs", "use pyo3::ffi;", None),
    ],
)
def test_rust_rule_finds(path, text, expected):
    """The rule reports each kind of violation, and no more than that."""
    found = rust_violations(path, text)
    if expected is None:
        assert found == []
    else:
        assert len(found) == 1
        assert expected in found[0]


@pytest.mark.parametrize(
    ("module", "text", "expected"),
    [
        ("eventlet.wsgi", "from eventlet.green import socket", None),
        ("eventlet.hubs", "from eventlet import wsgi", "stands below eventlet.wsgi"),
        ("eventlet.event", "import eventlet.greenio.base", "stands below"),
        ("eventlet.event", "def f():\n    import eventlet.wsgi", None),
        ("eventlet.greenio.base", "from eventlet_asyncio import _core", None),
        ("eventlet._patch.hybrid", "from eventlet_asyncio import _core", None),
        (
            "eventlet._patch.apply",
            "from eventlet_asyncio import _core",
            "may not import",
        ),
        ("eventlet.wsgi", "from eventlet_asyncio import _core", "may not import"),
        ("eventlet.queue", "from eventlet_asyncio.cli import main", "may not import"),
        ("eventlet.greenio.py3", "from .base import GreenSocket", None),
        ("eventlet.hubs.asyncio", "from ..wsgi import Server", "stands below"),
    ],
)
def test_overlay_rule_finds(module, text, expected):
    """The rule reports each kind of violation, and no more than that."""
    found = overlay_violations(module, text)
    if expected is None:
        assert found == []
    else:
        assert len(found) == 1
        assert expected in found[0]
