"""pdb's next over a green call stops in the same function, at the line after it."""

import subprocess
import sys

PROGRAM = """\
import eventlet
eventlet.monkey_patch()
import time

def other():
    for _ in range(3):
        time.sleep(0.001)

def work():
    first = 1
    time.sleep(0.01)
    second = 2
    return first + second

eventlet.spawn(other)
eventlet.spawn(work).wait()
print("ended")
"""
with open("program.py", "w") as file:
    file.write(PROGRAM)
commands = [
    "break work",
    "continue",
    "next",
    "next",
    "p first",
    "where",
    "continue",
    "q",
]
done = subprocess.run(
    [sys.executable, "-W", "ignore", "-m", "pdb", "program.py"],
    input="\n".join(commands) + "\n",
    capture_output=True,
    text=True,
    timeout=60,
)
stops = [
    line for line in done.stdout.splitlines() if line.startswith(("> ", "(Pdb) > "))
]
assert "second = 2" in done.stdout, done.stdout
lines = [line.split("(")[-2].split(")")[0] for line in stops if "program.py" in line]
assert "green switch" not in done.stdout, done.stdout
assert lines[1:4] == ["10", "11", "12"], (lines, done.stdout)
assert "ended" in done.stdout, done.stdout
print("pass")
