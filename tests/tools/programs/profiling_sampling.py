"""CPython's sampling profiler reads the stacks of all green threads."""
# since: 3.15

import re
import subprocess
import sys

PROGRAM = """\
import time
import eventlet

def leaf(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        sum(range(100))

def alpha():
    while True:
        leaf(0.005)
        eventlet.sleep(0)

def beta():
    while True:
        leaf(0.005)
        eventlet.sleep(0)

for function in (alpha, beta) * 40:
    eventlet.spawn(function)
eventlet.sleep(4)
"""
with open("program.py", "w") as file:
    file.write(PROGRAM)
done = subprocess.run(
    [sys.executable, "-m", "profiling.sampling", "run", "-d", "2", "--collapsed"]
    + ["-o", "out.txt", "program.py"],
    capture_output=True,
    text=True,
    timeout=120,
)
if "Permission" in done.stdout + done.stderr:
    print("skip: this process may not read the memory of another one")
    sys.exit()
rate = re.search(r"Error rate: ([\d.]+)", done.stdout)
assert rate and float(rate[1]) < 2, done.stdout + done.stderr
counts = {"alpha": 0, "beta": 0, "lost": 0}
with open("out.txt") as file:
    for line in file:
        stack, count = line.rsplit(" ", 1)
        if "leaf" in stack:
            owner = [name for name in ("alpha", "beta") if f":{name}:" in stack]
            assert len(owner) < 2, stack
            counts[owner[0] if owner else "lost"] += int(count)
assert counts["lost"] <= 0.01 * sum(counts.values()), counts
assert 0.5 < counts["alpha"] / counts["beta"] < 2, counts
print("pass")
