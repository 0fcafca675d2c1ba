"""psutil waits for a process of a patched program, and others run meanwhile."""
# needs: psutil

import eventlet

eventlet.monkey_patch()

import subprocess
import sys

import psutil

turns = []


def take_turns():
    while True:
        turns.append(1)
        eventlet.sleep(0.01)


eventlet.spawn(take_turns)
code = "import sys, time; time.sleep(0.3); sys.exit(3)"
child = psutil.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
assert child.wait(timeout=20) == 3
assert len(turns) > 5, turns
child = psutil.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
try:
    child.wait(timeout=0.05)
    raise AssertionError("no timeout")
except psutil.TimeoutExpired:
    child.kill()
assert child.wait() == -9
print("pass")
