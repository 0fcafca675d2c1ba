"""Timers, daemons, hooks and barriers of a patched `threading` follow its rules."""

# loops: uvloop

# ruff: noqa: E402 (when what is imported is the subject)

import eventlet

eventlet.monkey_patch()

import sys
import threading

# A timer fires once, in a thread of its own, and not if it is cancelled in time.
fired = threading.Event()
seen = []


def fire(value, *, name):
    seen.append((value, name, threading.current_thread()))
    fired.set()


timer = threading.Timer(0.01, fire, (1,), {"name": "x"})
cancelled = threading.Timer(0.01, seen.append, ("never",))
timer.start()
cancelled.start()
cancelled.cancel()
assert fired.wait(10)
timer.join(10)
cancelled.join(10)
assert not timer.is_alive()
assert not cancelled.is_alive()
assert seen == [(1, "x", timer)]

# Daemons: the setting is inherited, and fixed once the thread runs.
go = threading.Event()
inherited = {}


def parent(expected):
    inherited[expected] = threading.Thread(target=int).daemon
    go.wait(10)


threads = [
    threading.Thread(target=parent, args=(daemon,), daemon=daemon)
    for daemon in (True, False)
]
for thread in threads:
    thread.start()
eventlet.sleep(0)
assert inherited == {True: True, False: False}
try:
    threads[0].daemon = False
except RuntimeError:
    pass
else:
    raise AssertionError
go.set()
for thread in threads:
    thread.join(10)
assert not threading.current_thread().daemon
# One that a green thread makes is a daemon: so is what `current_thread` gives there.
assert eventlet.spawn(lambda: threading.Thread(target=int).daemon).wait()


# The hook gets what a thread raises, and by default prints it with the thread's name.
class Capture:
    """Collects what is printed."""

    def __init__(self):
        self.text = ""

    def write(self, text):  # noqa: D102 - a stream's
        self.text += text

    def flush(self):  # noqa: D102 - a stream's
        pass


def fail():
    raise LookupError("why")


usual, sys.stderr = sys.stderr, Capture()
try:
    failing = threading.Thread(target=fail, name="culprit")
    failing.start()
    failing.join(10)
    printed = sys.stderr.text
finally:
    sys.stderr = usual
assert "Exception in thread culprit" in printed, printed
assert "LookupError: why" in printed, printed
caught = []
threading.excepthook = lambda args: caught.append((args.exc_type, args.thread.name))
failing = threading.Thread(target=fail, name="second")
failing.start()
failing.join(10)
assert caught == [(LookupError, "second")]
threading.excepthook = threading.__excepthook__

# SystemExit ends the thread it is raised in, and nothing is said.
usual, sys.stderr = sys.stderr, Capture()
try:
    ending = threading.Thread(target=sys.exit)
    ending.start()
    ending.join(10)
    printed = sys.stderr.text
finally:
    sys.stderr = usual
assert not ending.is_alive()
assert printed == "", printed

# A barrier lets a party through, runs its action once, and breaks for all.
actions, passed = [], []
barrier = threading.Barrier(3, action=lambda: actions.append(1))


def arrive():
    passed.append(barrier.wait(10))


threads = [threading.Thread(target=arrive) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(10)
assert sorted(passed) == [0, 0, 1, 1, 2, 2]
assert actions == [1, 1]
broken = []


def arrive_in_vain():
    try:
        barrier.wait()
    except threading.BrokenBarrierError:
        broken.append(1)


waiting = [threading.Thread(target=arrive_in_vain) for _ in range(2)]
for thread in waiting:
    thread.start()
eventlet.sleep(0)
barrier.abort()
for thread in waiting:
    thread.join(10)
assert broken == [1, 1]
assert barrier.broken
barrier.reset()
try:
    barrier.wait(0.01)
except threading.BrokenBarrierError:
    pass
else:
    raise AssertionError

# What is traced and profiled in threads is told of green ones, too.
calls = []


def profile(frame, event, arg):
    if event == "call" and frame.f_code.co_name == "traced":
        calls.append(threading.current_thread().name)


def traced():
    pass


threading.setprofile(profile)
try:
    thread = threading.Thread(target=traced, name="profiled")
    thread.start()
    thread.join(10)
finally:
    threading.setprofile(None)
assert calls == ["profiled"], calls
print("pass")
