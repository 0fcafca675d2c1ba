"""What an executor runs when main ends is finished before the process ends."""

# loops: uvloop

# ruff: noqa: E402 (classes are props; when what is imported is the subject)

import sys

import eventlet

eventlet.monkey_patch()
from concurrent.futures import ThreadPoolExecutor

release = eventlet.patcher.original("threading").Event()


def last():
    release.wait(30)
    sys.stdout.write("pass\n")
    sys.stdout.flush()


pool = ThreadPoolExecutor(1)
pool.submit(last)
eventlet.patcher.original("threading").Timer(0.05, release.set).start()
