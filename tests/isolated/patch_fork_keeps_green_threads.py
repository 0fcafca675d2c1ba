"""A forked child goes on with the green threads, and without the OS threads."""

# loops: uvloop

# ruff: noqa: E402 (classes are props; when what is imported is the subject)

import threading

started = threading.Event()
stop = threading.Event()


def early():
    started.set()
    stop.wait()


# An OS thread from before patching: it is gone in the child.
os_thread = threading.Thread(target=early, daemon=True)
os_thread.start()
started.wait()

import eventlet

eventlet.monkey_patch()
import os

log = []
go = threading.Event()


def green():
    go.wait()
    log.append("green")


thread = threading.Thread(target=green)
thread.start()
assert threading.active_count() == 3

child = os.fork()
if child == 0:
    status = 1
    try:
        assert threading.active_count() == 2, threading.enumerate()
        assert not os_thread.is_alive()
        assert threading.current_thread() is threading.main_thread()
        go.set()
        thread.join(10)
        assert log == ["green"]
        status = 0
    finally:
        os._exit(status)
_pid, status = os.waitpid(child, 0)
assert os.waitstatus_to_exitcode(status) == 0
assert log == []
assert os_thread.is_alive()
go.set()
thread.join(10)
assert log == ["green"]
stop.set()
print("pass")
