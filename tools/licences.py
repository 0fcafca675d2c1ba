"""
Write THIRD-PARTY-LICENSES.txt: what the native module is linked with, and on what terms.

The crates are those that Cargo.lock names for Linux, without what only helps to compile.
Where a crate offers a choice of licences, MIT is taken. A licence that is not known here
is an error: whoever adds a dependency then decides whether it may be one.

Usage: ``python tools/licences.py [--check]``.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
FILE = ROOT / "THIRD-PARTY-LICENSES.txt"
PLATFORM = "x86_64-unknown-linux-gnu"
# In the order in which they are preferred.
ACCEPTED = {
    "MIT": ("LICENSE-MIT", "LICENSE-MIT.md", "LICENSE", "LICENSE.md", "LICENSE.txt"),
    "Apache-2.0": ("LICENSE-APACHE", "LICENSE", "LICENSE.md", "LICENSE.txt"),
    "Zlib": ("LICENSE",),
}
# Packages without a file of their licence, and who holds the rights: the beginning of the
# file LICENSE of their repositories.
HOLDERS = {"ruff_": "MIT License\n\nCopyright (c) 2022 Charles Marsh"}
# On top of one of those, for tables made from Unicode's data: the licence of these.
UNICODE = ("Unicode-3.0", "Unicode-DFS-2016")
HEAD = """\
The native module of eventlet-asyncio contains code of the Rust packages below, on the
terms that follow each list, and of Rust's standard library, whose authors are named in
COPYRIGHT-library.html of every Rust distribution. It is used on the terms of the MIT
licence:

Copyright (c) The Rust Project Contributors

"""


@cache
def linked() -> list[dict[str, Any]]:
    """List the packages whose code is in the native module."""
    command = ["cargo", "metadata", "--format-version=1", "--locked"]
    done = subprocess.run(
        [*command, f"--filter-platform={PLATFORM}"],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    metadata = json.loads(done.stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    pending, found = [root], {root}
    while pending:
        for dependency in nodes[pending.pop()]["deps"]:
            name = dependency["pkg"]
            used = any(kind["kind"] is None for kind in dependency["dep_kinds"])
            kinds = {kind for t in packages[name]["targets"] for kind in t["kind"]}
            if used and "proc-macro" not in kinds and name not in found:
                found.add(name)
                pending.append(name)
    own = set(metadata["workspace_members"])
    chosen = (packages[name] for name in found - own)
    return sorted(chosen, key=lambda package: (package["name"], package["version"]))


def read(file: Path) -> str:
    """Read a text without spaces at the ends of its lines."""
    lines = file.read_text(encoding="utf-8").strip().splitlines()
    return "\n".join(line.rstrip() for line in lines)


@cache
def folder_of(name: str) -> Path:
    """Find the sources of a package that is linked."""
    (package,) = {p["manifest_path"] for p in linked() if p["name"] == name}
    return Path(package).parent


def unicode_terms() -> str:
    """Return the licence of Unicode's data."""
    return read(folder_of("unicode-ident") / "LICENSE-UNICODE")


def permission() -> str:
    """Return what all texts of the MIT licence have in common."""
    text = read(folder_of("libc") / "LICENSE-MIT")
    return text[text.index("Permission is hereby granted") :]


def terms_of(package: dict[str, Any]) -> tuple[str, str]:
    """Return the licence on which a package is used, and its text."""
    named = (package["license"] or "").replace("/", " OR ")
    named, _, data = named.partition(" AND ")
    offered = named.strip("()").split(" OR ")
    folder = Path(package["manifest_path"]).parent
    for licence, names in ACCEPTED.items():
        files = [folder / name for name in names if (folder / name).is_file()]
        if licence in offered and files:
            text = read(files[0])
            if data in UNICODE:
                text += f"\n\nAnd for tables from Unicode's data ({data}):\n\n"
                return f"{licence} AND {data}", text + unicode_terms()
            return licence, text
    for prefix, head in HOLDERS.items():
        if package["name"].startswith(prefix) and "MIT" in offered:
            return "MIT", f"{head}\n\n{permission()}"
    message = f"{package['name']} is licensed on other terms: {package['license']}"
    raise SystemExit(message)


def render() -> str:
    """Make the file: packages with the same text stand above it together."""
    folded: dict[tuple[str, str], list[str]] = {}
    for package in linked():
        name = f"{package['name']} {package['version']}"
        folded.setdefault(terms_of(package), []).append(name)
    parts = [HEAD + permission()]
    for (licence, text), names in folded.items():
        parts.append(f"{', '.join(names)} ({licence})\n\n{text}")
    return f"\n\n{'-' * 80}\n\n".join(parts) + "\n"


def main(arguments: list[str]) -> str | None:
    """Write the file, or with ``--check`` say whether it is as it should be."""
    text = render()
    if arguments == ["--check"]:
        if not FILE.exists() or FILE.read_text(encoding="utf-8") != text:
            return f"{FILE.name} is out of date: run python tools/licences.py"
        return None
    FILE.write_text(text, encoding="utf-8")
    return None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
