"""
Measure what a switch costs when very many green threads take turns.

Question: is a switch among a million live green threads at most four times as dear as
among a hundred? All of them sleep(0) in a loop; each switch goes to one that has not run
since all the others have::

    python tests/benchmarks/crowd.py 100 10000 1000000

Each number is measured in a process of its own, as processor time.
"""

from __future__ import annotations

import argparse
import gc
import subprocess
import sys
import time

from heading import print_heading

import eventlet

SWITCHES = 20_000_000
TARGET = 4.0


def measure(number: int) -> float:
    """Return the processor time of one switch among ``number``, in nanoseconds."""
    rounds = max(2, SWITCHES // number)
    ended = 0

    def take_turns() -> None:
        nonlocal ended
        sleep = eventlet.sleep
        sleep(0)
        for _ in range(rounds):
            sleep(0)
        ended += 1

    greens = [eventlet.spawn(take_turns) for _ in range(number)]
    eventlet.sleep(0)
    start = time.process_time()
    greens[0].wait()
    greens[-1].wait()
    spent = time.process_time() - start
    assert ended == number
    return spent / (rounds * number) * 1e9


def main() -> int:
    """Compare each number asked for with the first."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("numbers", nargs="*", type=int)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        gc.disable()
        print(measure(options.numbers[0]))
        return 0
    print_heading()
    command = [sys.executable, __file__, "--one"]
    first = 0.0
    worst = 0.0
    for number in options.numbers or [100, 10_000, 1_000_000]:
        done = subprocess.run(
            [*command, str(number)], check=True, capture_output=True, text=True
        )
        cost = float(done.stdout)
        first = first or cost
        worst = max(worst, cost / first)
        print(f"{number:>9,} live: {cost:6.0f} ns a switch, {cost / first:4.2f} times")
    return 0 if worst <= TARGET else 1


if __name__ == "__main__":
    sys.exit(main())
