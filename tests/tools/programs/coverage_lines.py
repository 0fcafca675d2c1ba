"""coverage.py counts exactly the lines and branches that ran, whoever ran them."""
# needs: coverage

import json
import shutil
import subprocess
import sys
from pathlib import Path

MEASURED = Path(__file__).parents[1] / "measured"
# coverage counts what OS threads run, those of tpool among them, if told "thread".
WITHOUT_THREADS = {"in_worker", "work"}


def measure(name, concurrency, branch):
    shutil.copy(MEASURED / name, name)
    Path("rc").write_text(
        f"[run]\nconcurrency = {concurrency}\ninclude = {name}\nbranch = {branch}\n"
        "core = ctrace\n"
    )
    for command in (["run", name], ["json", "-q", "-o", "out.json"]):
        where = [*command[:1], "--rcfile=rc", *command[1:]]
        subprocess.run([sys.executable, "-m", "coverage", *where], check=True)
    return json.loads(Path("out.json").read_text())["files"][name]


def check(name, concurrency, branch):
    found = measure(name, concurrency, branch)
    lines = Path(name).read_text().splitlines()
    never = {n for n, line in enumerate(lines, 1) if line.endswith("# never")}
    expected = set(never)
    if "thread" not in concurrency:
        for function in WITHOUT_THREADS:
            report = found["functions"].get(function)
            expected |= set(report["missing_lines"] if report else ())
    missing = set(found["missing_lines"])
    case = (name, concurrency, branch)
    assert missing == expected, (case, sorted(missing ^ expected))
    if branch and "thread" in concurrency:
        wrong = [to for _, to in found["missing_branches"] if to not in never]
        assert not wrong, (case, found["missing_branches"])
        extra = [line for line in found["executed_branches"] if line[1] in never]
        assert not extra, (case, extra)


for name in ("green.py", "patched.py"):
    for concurrency in ("greenlet", "eventlet", "thread,greenlet", "thread,eventlet"):
        for branch in (False, True):
            check(name, concurrency, branch)
print("pass")
