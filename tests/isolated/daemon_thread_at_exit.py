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
}
PROGRAM = """
import threading
import eventlet
eventlet.hubs.use_hub({hub!r})
started = threading.Event()

def endless():
    started.set()
    {body}

def run():
    eventlet.spawn(endless).wait()

threading.Thread(target=run, daemon=True).start()
started.wait()
print("over")
"""

if len(sys.argv) > 1:
    hub, case = sys.argv[1:]
    exec(PROGRAM.format(hub=hub, body=CASES[case]))
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
    cases = [(hub, case) for hub in ("asyncio", "poll") for case in CASES] * 2
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
