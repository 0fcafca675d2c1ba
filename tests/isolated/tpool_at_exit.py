"""
Calls in tpool are finished before the process ends, those that wait for a worker, too;
not those made later. Another Ctrl-C ends the process at once.
"""

import signal
import subprocess
import sys
import time

PROGRAM = """
import os, sys, time, threading
import eventlet
from eventlet import patcher, tpool
{before}
tpool.set_num_threads(2)
begun = []
def job(name):
    begun.append(name)
    for _ in range(20): time.sleep(0.01); sum(range(1000))
    print(name, flush=True)
for name in 'abc': eventlet.spawn(tpool.execute, job, name)
while not begun: eventlet.sleep(0.001)
{end}
"""
ENDLESS = """
def again():
    while True: tpool.execute(abs, 1)
patcher.original('threading').Thread(target=again, daemon=True).start()
"""
ENDS = {
    "end": ("", "", 0, "abc"),
    "patched": ("eventlet.monkey_patch()", "", 0, "abc"),
    "exit": ("", "sys.exit(3)", 3, "abc"),
    "error": ("", "sys.stderr = None; raise OSError", 1, "abc"),
    "others go on": ("", ENDLESS, 0, "abc"),
    "at once": ("", "os._exit(4)", 4, ""),
    "killed pool": ("", "eventlet.spawn(tpool.killall); eventlet.sleep(0)", 0, "abc"),
    "handlers": (
        "",
        "import atexit; atexit.register(lambda: print('d', tpool.execute(abs, 1) and ''))",
        0,
        "dabc",
    ),
}

for case, (before, end, status, printed) in ENDS.items():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(before=before, end=end)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    seen = sorted("".join(done.stdout.split()))
    assert (done.returncode, seen, done.stderr) == (status, sorted(printed), ""), (
        case,
        done,
    )

STAYS = """
import atexit
import eventlet
from eventlet import tpool
def job():
    print("begun", flush=True)
    while True: sum(range(1000))
eventlet.spawn(tpool.execute, job)
try: eventlet.sleep(60)
except KeyboardInterrupt: pass
# Called last registered first: what comes next is the wait for the call.
atexit.register(print, "waits", flush=True)
"""
stays = subprocess.Popen(
    [sys.executable, "-c", STAYS],
    stdout=subprocess.PIPE,
    stderr=subprocess.PIPE,
    text=True,
)
assert stays.stdout.readline() == "begun\n"
stays.send_signal(signal.SIGINT)
assert stays.stdout.readline() == "waits\n"
time.sleep(0.5)
assert stays.poll() is None
stays.send_signal(signal.SIGINT)
_, errors = stays.communicate(timeout=20)
assert (stays.returncode, errors) == (0, ""), (stays.returncode, errors)
print("pass")
