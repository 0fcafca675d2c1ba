"""austin gives the time of each green thread to the stack that it was in."""
# needs: austin-dist

import collections
import os
import subprocess
import sys
import tempfile

PROGRAM = """\
import time
import eventlet

def burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass

def alpha():
    while time.perf_counter() < stop:
        burn(0.03)
        eventlet.sleep(0)

def beta():
    while time.perf_counter() < stop:
        burn(0.01)
        eventlet.sleep(0)

stop = time.perf_counter() + 3
threads = [eventlet.spawn(alpha), eventlet.spawn(beta)]
for thread in threads:
    thread.wait()
"""

tool = os.path.join(os.path.dirname(sys.executable), "austin")
with tempfile.TemporaryDirectory() as folder:
    samples = os.path.join(folder, "samples")
    command = [tool, "-i", "1ms", "-o", samples, sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode or not os.path.exists(samples):
        print("skip: austin cannot run here: " + (done.stderr or done.stdout)[-200:])
        sys.exit()
    with open(samples) as file:
        lines = [line for line in file if line.startswith("P")]

times = collections.Counter()
for line in lines:
    stack, _, spent = line.rpartition(" ")
    names = {frame.split(":")[-2] for frame in stack.split(";") if frame.count(":") > 1}
    for name in names & {"alpha", "beta"}:
        times[name] += int(spent)
    # Never a stack that is put together from two.
    assert not {"alpha", "beta"} <= names, line
    assert "burn" not in names or {"alpha", "beta"} & names, line
assert times["alpha"] + times["beta"] > 2_500_000, times
assert 2.5 < times["alpha"] / times["beta"] < 3.5, times
print("pass")
