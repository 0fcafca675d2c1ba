"""
Runs programs, one a line of standard input, and answers with the trace of each.

Started with the interpreter and the environment under test:
``worker.py green CLOCK [patched]``, or ``worker.py tasks CLOCK MODE``, where the clock
is ``real`` or ``virtual``.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import io
import json
import os
import re
import sys
import traceback

from traces import OWN, clean
from virtual import RealTime, VirtualTime

#: Seconds that a program may take beside its units of time.
PATIENCE = 10


def main(kind: str, clock: str, mode: str) -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    questions = os.fdopen(os.dup(0), "r")
    os.dup2(os.open(os.devnull, os.O_RDWR), 1)
    errors = os.fdopen(os.dup(2), "w")
    faulthandler.enable(errors)
    # Bound before anything is patched.
    readline, write, flush = questions.readline, answers.write, answers.flush
    run = (green if kind == "green" else tasks)(clock, mode)
    while line := readline():
        asked = json.loads(line)
        program, unit = asked["program"], asked["unit"]
        patience = PATIENCE + (0 if clock == "virtual" else unit * 600)
        faulthandler.dump_traceback_later(patience, exit=True, file=errors)
        said = sys.stderr = io.StringIO()
        try:
            answer = run(program, unit, said)
        except BaseException as error:
            told = "".join(traceback.format_exception(error))
            answer = {"trace": [["fuzzer", told]], "stderr": [], "dirty": True}
        finally:
            sys.stderr = errors
        faulthandler.cancel_dump_traceback_later()
        write(json.dumps(answer) + "\n")
        flush()
    # What programs have left behind is not waited for.
    os._exit(0)


def green(clock: str, mode: str):
    """Return what runs a green program."""
    import eventlet

    if mode == "patched":
        eventlet.monkey_patch()
    ours = "eventlet_asyncio" in (eventlet.__file__ or "")
    if not ours:
        importlib.import_module("oracle").mend()
    machine = importlib.import_module("green_machine").Machine
    eventlet.sleep(0)
    time = make_clock(clock, "ours" if ours else "upstream")

    def run(program, unit, said):
        running = machine(program, unit, time, ours=ours)
        dirty = running.run()
        return {
            "trace": running.trace,
            "stderr": reports(said.getvalue()),
            "dirty": dirty,
        }

    return run


def make_clock(kind: str, side: str):
    """Return the time that programs run on."""
    if kind == "real":
        return RealTime()
    clock = VirtualTime()
    clock.install(side)
    return clock


def reports(text: str) -> list[str]:
    """Return the last lines of the tracebacks that were printed, sorted."""
    found = []
    for line in text.split("\n"):
        if "gnored" in line or "panic" in line:
            found.append("RAW " + line)
        elif re.match(
            r"^[\w.]*(Error|Exception|Boom|Exit|Timeout|Empty|Full|Stop|Ret)\b", line
        ):
            kind, _, said = clean(line).partition(": ")
            kind = kind.partition(":")[0].rpartition("traces.")[2]
            if said != "triple":
                found.append(f"{kind}: {said}" if said in OWN else kind)
    return sorted(found)


def tasks(clock: str, mode: str):
    """Return what runs a program of tasks."""
    modes = importlib.import_module("task_modes")
    modes.prepare(mode)
    time = make_clock(clock, "asyncio" if mode == "oracle" else "ours")

    def run(program, unit, said):
        trace, found = modes.run(program, unit, mode, time)
        if mode != "oracle":
            import eventlet

            eventlet.sleep(0)
        gc.collect()
        pattern = r"never (awaited|retrieved)|gnored|panic|destroyed"
        for line in said.getvalue().split("\n"):
            if re.search(pattern, line):
                found.append(clean(line)[:80])
        return {"trace": trace, "stderr": sorted(found), "dirty": False}

    return run


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3] if len(sys.argv) > 3 else "")
