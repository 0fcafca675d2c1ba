"""austin gives the time of each green thread to the stack that it was in."""
# needs: austin-dist

import collections
import os
import subprocess
import sys
import tempfile

PROGRAM = """\
import sys, time
import eventlet

def burn(seconds):
    start = time.perf_counter()
    while time.perf_counter() < start + seconds:
        pass
    return time.perf_counter() - start

def alpha():
    global in_alpha
    while time.perf_counter() < stop:
        in_alpha += burn(0.03)
        eventlet.sleep(0)

def beta():
    global in_beta
    while time.perf_counter() < stop:
        in_beta += burn(0.01)
        eventlet.sleep(0)

in_alpha = in_beta = 0
stop = time.perf_counter() + 3
threads = [eventlet.spawn(alpha), eventlet.spawn(beta)]
for thread in threads:
    thread.wait()
with open(sys.argv[1], "w") as file:
    print(in_alpha, in_beta, file=file)
"""

tool = os.path.join(os.path.dirname(sys.executable), "austin")
with tempfile.TemporaryDirectory() as folder:
    samples = os.path.join(folder, "samples")
    own = os.path.join(folder, "own")
    command = [tool, "-i", "1ms", "-o", samples, sys.executable, "-c", PROGRAM, own]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode or not os.path.exists(samples):
        print("skip: austin cannot run here: " + (done.stderr or done.stdout)[-200:])
        sys.exit()
    with open(samples) as file:
        lines = [line for line in file if line.startswith("P")]
    with open(own) as file:
        measured = dict(
            zip(("alpha", "beta"), map(float, file.read().split()), strict=True)
        )

times = collections.Counter()
for line in lines:
    stack, _, spent = line.rpartition(" ")
    names = {frame.split(":")[-2] for frame in stack.split(";") if frame.count(":") > 1}
    for name in names & {"alpha", "beta"}:
        times[name] += int(spent)
    # Never a stack that is put together from two.
    assert not {"alpha", "beta"} <= names, line
    assert "burn" not in names or {"alpha", "beta"} & names, line
for name, seconds in measured.items():
    assert 0.8 < times[name] / 1e6 / seconds < 1.2, (times, measured)
print("pass")
