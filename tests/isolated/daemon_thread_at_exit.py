"""The process ends in order while a daemon thread is in the middle of a green thread."""

# loops: uvloop

import subprocess
import sys
import threading

CASES = {
    "busy": "while True: pass",
    "switching": "while True: eventlet.sleep(0)",
    "callbacks": "while True: sorted([2, 1], key=lambda n: (eventlet.sleep(0), n)[1])",
    "linked": "while True: eventlet.spawn(int).link(lambda g: sum(range(1000)))",
    "waiting": "eventlet.sleep(1000)",
    "timers": "while True: eventlet.sleep(0.0001)",
    "timeouts": "while True:\n  with eventlet.Timeout(0.0001, False): eventlet.sleep(1)",
    "sockets": "while True: ends[0].send(b'x'); ends[1].recv(1)",
    "pool": "while True: list(eventlet.GreenPool().imap(abs, range(5)))",
    "many tpool jobs": "while True: eventlet.tpool.execute(abs, 1)",
    "timer": "get_hub().schedule_call_global(0, stay); eventlet.sleep(1000)",
    "link": "eventlet.spawn(int).link(lambda g: stay()); eventlet.sleep(1000)",
    "comparison": "q = eventlet.queue.PriorityQueue(); q.put(Item()); q.put(Item())",
    "finaliser": "eventlet.event.Event().send(Item())",
    "greenlet": "greenlet.greenlet(stay).switch()",
    "tracer": "greenlet.settrace(lambda *args: stay()); eventlet.sleep(0)",
}
# Where the daemon thread is when the interpreter stops it: in Python code that was called
# from native code of each kind, or about to return from a wait without the GIL.
PROGRAM = """
import threading
import eventlet.queue
import eventlet.tpool
import greenlet
from eventlet.green import socket
from eventlet.hubs import get_hub
eventlet.hubs.use_hub({hub!r})
started = threading.Event()
ends = socket.socketpair()

def stay():
    started.set()
    while True: pass

class Item:
    stay = staticmethod(stay)
    def __lt__(self, other): stay()
    def __del__(self): stay()

def endless():
    {begin}
    {body}

def run():
    eventlet.spawn(endless).wait()

threading.Thread(target=run, daemon=True).start()
started.wait()
print("over")
"""

if len(sys.argv) > 1:
    hub, case = sys.argv[1:]
    body = CASES[case]
    # What ends in stay() tells itself when it has come there.
    begin = "pass" if "stay" in body or "Item" in body else "started.set()"
    exec(PROGRAM.format(hub=hub, begin=begin, body=body.replace("\n", "\n    ")))
else:

    def run(hub, case):
        done = subprocess.run(
            [sys.executable, __file__, hub, case],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        results.append((hub, case, done.returncode, done.stdout, done.stderr))

    results = []
    cases = [(hub, case) for hub in ("asyncio", "poll") for case in CASES]
    for number in range(0, len(cases), 4):
        threads = [
            threading.Thread(target=run, args=case) for case in cases[number:][:4]
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    bad = [result for result in results if result[2:] != (0, "over\n", "")]
    assert not bad, bad
    assert len(results) == len(cases)
    print("pass")
