"""What the scanner says of functions, against what a run of the sample has shown."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from .test_scan import cli

START = Path(__file__).parents[2] / "docs" / "journey" / "start"
SERVED = '[sys.executable, "-m", "service", '
# Each test has a service of its own, and so has each a file.
RECORDED = (
    '[sys.executable, "-m", "eventlet_asyncio", "run", "--evidence", '
    'os.environ["EVIDENCE"] + f"-{time.monotonic_ns()}.json", "-m", "service", '
)
# Notes each function of the service that runs, whatever the version of Python.
WATCH = """\
import ast, atexit, builtins, importlib.machinery, os, sys

ran = set()
builtins.__ran__ = ran.add


class Mark(ast.NodeTransformer):
    def __init__(self, module):
        self.module, self.names = module, []

    def visit_ClassDef(self, node):
        self.names.append(node.name)
        self.generic_visit(node)
        self.names.pop()
        return node

    def visit_FunctionDef(self, node):
        name = self.module + ":" + ".".join([*self.names, node.name])
        self.visit_ClassDef(node)
        call = ast.parse(f"__ran__({name!r})").body[0]
        for part in ast.walk(call):
            ast.copy_location(part, node.body[0])
        node.body.insert(1 if ast.get_docstring(node) else 0, call)
        return node

    visit_AsyncFunctionDef = visit_FunctionDef


class Loader(importlib.machinery.SourceFileLoader):
    def source_to_code(self, data, path, **options):
        return compile(Mark(self.name).visit(ast.parse(data)), path, "exec")


class Finder:
    @staticmethod
    def find_spec(name, path, target=None):
        if name.partition(".")[0] != "service":
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and spec.origin:
            spec.loader = Loader(name, spec.origin)
        return spec


def save():
    with open(os.environ["RAN"], "a") as file:
        file.write("".join(name + "\\n" for name in ran))


sys.dont_write_bytecode = True
sys.meta_path.insert(0, Finder)
atexit.register(save)
"""


def plain(name):
    """Write a qualified name as evidence does."""
    return name.replace("<locals>.", "")


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_colours_agree_with_a_run_of_the_sample(tmp_path):
    """Of what is said to switch 95 % do, and of what does 90 % are said to."""
    if find_spec("websockets") is None:
        pytest.skip("needs websockets")
    folder = tmp_path / "journey"
    shutil.copytree(START, folder)
    tests = folder / "tests" / "test_service.py"
    text = tests.read_text()
    assert SERVED in text
    tests.write_text(text.replace(SERVED, RECORDED))
    watch = tmp_path / "watch"
    watch.mkdir()
    (watch / "sitecustomize.py").write_text(WATCH)
    subprocess.run(
        [sys.executable, "-m", "unittest"],
        cwd=folder,
        env={
            **os.environ,
            "EVENTLET_HUB": "asyncio",
            "EVIDENCE": str(tmp_path / "evidence"),
            "RAN": str(tmp_path / "ran"),
            "PYTHONPATH": str(watch),
        },
        check=True,
        timeout=300,
        capture_output=True,
    )
    ran = set((tmp_path / "ran").read_text().split())
    switched = set()
    for file in tmp_path.glob("evidence-*.json"):
        document = json.loads(file.read_text())
        switched |= {plain(site["function"]) for site in document["sites"]}
        switched |= {plain(name) for call in document["calls"] for name in call}
    switched = {name for name in switched if name in ran}
    plan = json.loads(cli("plan", "--format", "json", "service", cwd=folder).stdout)
    said = {
        plain(name) for name, colour in plan["colours"].items() if colour != "never"
    }
    said &= ran
    assert len(switched) > 20
    wrong, missed = sorted(said - switched), sorted(switched - said)
    print(f"precision {len(said & switched)}/{len(said)}, without {wrong}")
    print(f"recall {len(said & switched)}/{len(switched)}, without {missed}")
    assert len(said & switched) >= 0.95 * len(said), wrong
    assert len(said & switched) >= 0.90 * len(switched), missed
