"""py-spy shows the stack of the green thread that runs."""
# needs: py-spy

import os
import shutil
import subprocess
import sys
import time

import eventlet

spy = os.path.join(os.path.dirname(sys.executable), "py-spy")
spy = spy if os.path.exists(spy) else shutil.which("py-spy")


def deep():
    dumped.append(
        subprocess.run(
            [spy, "dump", "--pid", str(os.getpid())], capture_output=True, text=True
        )
    )


def middle():
    eventlet.sleep(0)
    deep()


dumped = []
started = time.monotonic()
eventlet.spawn(middle).wait()
done = dumped[0]
if done.returncode:
    print("skip: py-spy cannot read this CPython or process: " + done.stderr[-200:])
    sys.exit()
# The main green thread is suspended: its frames are on another stack.
assert "deep (" in done.stdout, done.stdout
assert "middle (" in done.stdout, done.stdout
print("pass")
