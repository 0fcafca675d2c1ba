"""
Measure a scan of real code bases, cold and with its cache, against a walk of trees.

Usage: ``python tests/benchmarks/scan.py FOLDER...`` with unpacked source distributions,
such as those of nova and swift. Beside it: what only walking the same files' trees takes
with :mod:`ast`. Times are CPU seconds of a process of its own, memory is its peak.
"""

from __future__ import annotations

import ast
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path


def child(function, *arguments):
    """Run a function in a child process; return its CPU seconds and peak in MB."""
    process = os.fork()
    if process == 0:
        function(*arguments)
        os._exit(0)
    _, _, usage = os.wait4(process, 0)
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def scan(folders, cache):
    """Scan with a cache in a folder."""
    subprocess.run(
        [
            sys.executable,
            "-m",
            "eventlet_asyncio",
            "scan",
            "--format",
            "json",
            *folders,
        ],
        env={**os.environ, "XDG_CACHE_HOME": cache},
        stdout=subprocess.DEVNULL,
        check=False,
    )
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(
        f"    {usage.ru_utime + usage.ru_stime:6.2f} CPU s, {usage.ru_maxrss / 1024:5.0f} MB"
    )


def walk(folders):
    """Read and walk every module with the standard library."""
    lines = files = 0
    for folder in folders:
        for path in Path(folder).rglob("*.py"):
            try:
                text = path.read_text()
                for _ in ast.walk(ast.parse(text)):
                    pass
            except (SyntaxError, UnicodeDecodeError):
                continue
            files += 1
            lines += text.count("\n")
    print(f"    {files} files, {lines} lines")


def main():
    """Measure and print."""
    folders = sys.argv[1:]
    if not folders:
        sys.exit(__doc__)
    with tempfile.TemporaryDirectory() as cache:
        print("cold scan")
        child(scan, folders, cache)
        print("again, nothing changed")
        child(scan, folders, cache)
        changed = max(
            Path(folders[0]).rglob("*.py"), key=lambda path: path.stat().st_size
        )
        text = changed.read_bytes()
        try:
            changed.write_bytes(text + b"\n# one more line\n")
            print("again, one file changed")
            child(scan, folders, cache)
        finally:
            changed.write_bytes(text)
    print("ast.parse and ast.walk, one process")
    seconds, memory = child(walk, folders)
    print(f"    {seconds:6.2f} CPU s, {memory:5.0f} MB")


if __name__ == "__main__":
    main()
