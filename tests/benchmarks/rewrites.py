"""
Prove safe rewrites on real code bases.

Usage: ``python tests/benchmarks/rewrites.py FOLDER... [--tests COMMAND]`` with unpacked
source distributions, such as those of nameko, os-ken and swift. Of each a copy is
rewritten by all safe rules; then every module that compiled must compile, a second run
must change nothing, no hunk may differ in white space alone, and the comments of a file
must be those of before. With ``--tests``, a pytest command is run in the copy before and
after (``{python}`` stands for this interpreter), and the outcomes must be the same.
"""

from __future__ import annotations

import argparse
import difflib
import io
import json
import shutil
import subprocess
import sys
import tempfile
import tokenize
import warnings
from pathlib import Path
from xml.etree import ElementTree as ET


def modules(folder):
    """Return the texts of the modules of a folder that compile, by their names."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        content = path.read_bytes()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                compile(content, str(path), "exec")
            found[str(path.relative_to(folder))] = content.decode()
        except (SyntaxError, ValueError):
            continue
    return found


def comments(text):
    """Return the comments of a module."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return [token.string for token in tokens if token.type == tokenize.COMMENT]


def rewrite(folder):
    """Apply all safe rules; return how many files were changed."""
    done = subprocess.run(
        [
            *(sys.executable, "-m", "eventlet_asyncio", "rewrite", "all"),
            *("--target", "threads", "--write", "--force", "--no-cache", "."),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode or done.stderr:
        sys.exit(f"{folder.name}: {done.returncode} {done.stderr}")
    return int(done.stdout.split("\n")[-2].split()[0])


def outcomes(folder, command):
    """Run tests; return what became of each."""
    report = folder / "outcomes.xml"
    words = [word.replace("{python}", sys.executable) for word in command.split()]
    subprocess.run(
        [*words, f"--junitxml={report}"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=1500,
    )
    found = {}
    for case in ET.parse(report).iter("testcase"):
        kinds = sorted(part.tag for part in case if "system" not in part.tag)
        found[f"{case.get('classname')}.{case.get('name')}"] = kinds or ["passed"]
    report.unlink()
    return found


def hunks(before, after):
    """Yield the removed and the added lines of each change."""
    old, new = before.splitlines(), after.splitlines()
    for kind, *at in difflib.SequenceMatcher(None, old, new, False).get_opcodes():
        if kind != "equal":
            yield old[at[0] : at[1]], new[at[2] : at[3]]


def prove(folder, command):
    """Rewrite a copy of a folder; return the figures, and what is wrong."""
    wrong = []
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / folder.name
        shutil.copytree(folder, copy, symlinks=True)
        tests = outcomes(copy, command) if command else {}
        before = modules(copy)
        changed = rewrite(copy)
        after = modules(copy)
        wrong += [f"{name} does not compile" for name in before.keys() - after.keys()]
        lines = 0
        for name, text in before.items():
            new = after.get(name, text)
            for removed, added in hunks(text, new):
                lines += max(len(removed), len(added))
                if "".join("".join(removed).split()) == "".join("".join(added).split()):
                    wrong.append(f"{name}: white space only: {removed}")
            lost = set(comments(text)) - set(comments(new)) if new != text else ()
            wrong += [f"{name}: lost {comment}" for comment in lost]
        if again := rewrite(copy):
            wrong.append(f"a second run changes {again} files")
        if tests:
            later = outcomes(copy, command)
            for name in sorted(tests.keys() | later.keys()):
                if tests.get(name) != later.get(name):
                    wrong.append(f"{name}: {tests.get(name)}, then {later.get(name)}")
    return {
        "code base": folder.name,
        "modules": len(before),
        "files changed": changed,
        "lines changed": lines,
        "tests": len(tests),
        "wrong": len(wrong),
    }, wrong


def main():
    """Prove, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--tests", default="", metavar="COMMAND")
    options = parser.parse_args()
    is_wrong = False
    for folder in options.folders:
        figures, wrong = prove(folder.resolve(), options.tests)
        print(json.dumps(figures))
        for line in wrong[:50]:
            print("   ", line)
        is_wrong |= bool(wrong)
    sys.exit(is_wrong)


if __name__ == "__main__":
    main()
