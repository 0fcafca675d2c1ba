"""
Measure the memory of blocked green threads, and the time of a crowd of them.

Question: what does one of them take when 100,000 or a million are blocked at once?
Spawns so many green threads at once, has all of them wait for one event, measures
resident memory and page tables, wakes them all and joins them::

    python tests/benchmarks/blocked.py 100000 1000000

The target is at most 12 KB for each, page tables included.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time
from pathlib import Path

from heading import print_heading

import eventlet
from eventlet.event import Event
from eventlet_asyncio import _core

TARGET = 12 * 1024


def memory() -> tuple[int, int]:
    """Return resident memory and page tables of this process, in bytes."""
    found = {}
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name in {"VmRSS", "VmPTE"}:
            found[name] = int(rest.split()[0]) * 1024
    return found["VmRSS"], found["VmPTE"]


def measure(number: int, kind: str) -> bool:
    """Print a line about ``number`` green threads blocked at once."""
    gc.collect()
    resident, tables = memory()
    event = Event()
    waiting = 0

    def block() -> int:
        nonlocal waiting
        waiting += 1
        event.wait()
        return 1

    start = time.perf_counter()
    greens = [eventlet.spawn(block) for _ in range(number)]
    while waiting < number:
        eventlet.sleep(0)
    spawned = time.perf_counter()
    resident_after, tables_after = memory()
    in_use = _core._stack_statistics()["in_use"]
    event.send(None)
    woken = sum(green.wait() for green in greens)
    joined = time.perf_counter()
    assert woken == number
    assert in_use >= number
    rss = (resident_after - resident) / number
    pte = (tables_after - tables) / number
    fits = rss + pte <= TARGET
    print(
        f"{number:>9,} {kind}: {rss:6.0f} B resident + {pte:5.0f} B page tables"
        f" = {rss + pte:6.0f} B each ({'within' if fits else 'over'} {TARGET}),"
        f" spawned in {spawned - start:.2f} s, woken and joined in"
        f" {joined - spawned:.2f} s"
    )
    return fits


def main() -> int:
    """Measure each number asked for in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int, default=[100_000, 1_000_000])
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        # What is made once, stacks of the first green threads included.
        eventlet.spawn(int).wait()
        return 0 if measure(options.numbers[0], "blocked at once") else 1
    print_heading()
    command = [sys.executable, __file__, "--one"]
    return max(
        subprocess.run([*command, str(number)], check=False).returncode
        for number in options.numbers
    )


if __name__ == "__main__":
    sys.exit(main())
