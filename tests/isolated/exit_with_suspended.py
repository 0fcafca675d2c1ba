"""Green threads that are suspended at interpreter exit are abandoned without a word."""

# loops: uvloop

import atexit
import subprocess
import sys

PROGRAM = """
import sys
import threading
import eventlet
import greenlet
from eventlet.event import Event

class Loud:
    def __del__(self):
        print("deleted", file=sys.stderr)

def hold(how):
    mine = [Loud()]
    mine.append(mine)
    try:
        how()
    finally:
        print("finally", file=sys.stderr)

event = Event()
keep = [
    eventlet.spawn(hold, lambda: eventlet.sleep(100)),
    eventlet.spawn(hold, event.wait),
    eventlet.spawn(hold, eventlet.hubs.get_hub().switch),
]
eventlet.spawn_n(hold, lambda: eventlet.sleep(100))
keep.append(greenlet.greenlet(hold))
keep[-1].switch(lambda: greenlet.getcurrent().parent.switch())
def generate():
    with_one = greenlet.greenlet(lambda: next(it))
    yield with_one
it = generate()
keep.append(next(it))
eventlet.sleep(0)
{more}
print("over")
"""
ENDS = {
    "main ends": "",
    "exit status": "sys.exit(0)",
    "in a green thread": "eventlet.spawn(sys.exit, 0).wait()",
    "module cycle": "sys.modules['cycle'] = keep; keep.append(keep)",
    "at exit": "import atexit; atexit.register(lambda: eventlet.sleep(0.01))",
    "late": "class Late:\n    def __del__(self, sleep=eventlet.sleep):\n"
    "        try: sleep(0)\n        except BaseException: pass\nlate = Late()",
    "thread": "t = threading.Thread(target=lambda: (keep.append(eventlet.spawn(hold, "
    "lambda: eventlet.sleep(9))), eventlet.sleep(0))); t.start(); t.join()",
}

failures = []
for name, more in ENDS.items():
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", PROGRAM.replace("{more}", more)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    if done.returncode or "Fatal" in done.stderr or "Traceback" in done.stderr:
        failures.append((name, done.returncode, done.stdout, done.stderr))
assert not failures, failures
atexit.register(print, "pass", flush=True)
