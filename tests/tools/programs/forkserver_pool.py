"""A pool of processes made by a fork server works in a patched program, and ends."""

import os
import subprocess
import sys

CODE = """\
import eventlet
eventlet.monkey_patch()
import concurrent.futures
import multiprocessing
import time


def square(number):
    return number * number


def take_turns():
    while True:
        turns.append(1)
        time.sleep(0.005)


if __name__ == "__main__":
    turns = []
    eventlet.spawn(take_turns)
    context = multiprocessing.get_context("forkserver")
    wanted = [n * n for n in range(20)]
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as executor:
        assert list(executor.map(square, range(20))) == wanted
    assert len(turns) > 2, turns
    with context.Pool(2) as pool:
        assert pool.map(square, range(20)) == wanted
        pool.close()
        pool.join()
    print("done")
"""

with open("pool.py", "w") as file:
    file.write(CODE)
for attempt in range(20):
    done = subprocess.run(
        [sys.executable, os.path.abspath("pool.py")],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "done\n", ""), (
        attempt,
        done,
    )
print("pass")
