"""
Measure what a hub costs that has next to nothing to do.

Questions: how often does an idle hub wake up, and does a green thread that wakes every 20 ms
cost more processor time than on upstream's epoll hub? Each peer is an interpreter and the hub
to choose there, the first one is the base::

    python tests/benchmarks/ticker.py ours=PYTHON,asyncio epolls=OTHER,epolls --seconds 5

Peers run in turn, each in a process of its own; figures are medians over the rounds.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys

from heading import print_heading

PROGRAM = """
import resource, sys, time
import eventlet

kind, seconds = sys.argv[1], float(sys.argv[2])

def used():
    found = resource.getrusage(resource.RUSAGE_SELF)
    return found.ru_utime + found.ru_stime, found.ru_nvcsw

def tick():
    global ticks
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        eventlet.sleep(0.02)
        ticks += 1

ticks = 0
if kind == "idle":
    waiting = eventlet.spawn(eventlet.event.Event().wait)
    green = eventlet.spawn(eventlet.sleep, seconds)
else:
    greens = [eventlet.spawn(tick) for _ in range(int(kind))]
    green = greens[0]
eventlet.sleep(0.1)
cpu, switches = used()
green.wait()
after = used()
print(after[0] - cpu, after[1] - switches, ticks)
"""
KINDS = {"idle": "nothing", "1": "1 ticker of 20 ms", "100": "100 tickers of 20 ms"}


def measure(
    python: str, hub: str, kind: str, seconds: float
) -> tuple[float, float, int]:
    """Return processor time and sleeps per second, and how many ticks there were."""
    env = os.environ | ({"EVENTLET_HUB": hub} if hub else {})
    done = subprocess.run(
        [python, "-c", PROGRAM, kind, str(seconds)],
        env=env, check=True, capture_output=True, text=True,
    )  # fmt: skip
    cpu, switches, ticks = done.stdout.split()
    return float(cpu) / seconds, int(switches) / seconds, int(ticks)


def main() -> int:
    """Compare the peers for each kind of load."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("peers", nargs="+", metavar="NAME=PYTHON[,HUB]")
    parser.add_argument("--kind", action="append", choices=list(KINDS))
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    peers = {}
    for peer in options.peers:
        name, _, rest = peer.partition("=")
        python, _, hub = rest.partition(",")
        peers[name] = (python, hub)
    print_heading()
    for kind in options.kind or KINDS:
        found: dict[str, list[tuple[float, float, int]]] = {name: [] for name in peers}
        for _ in range(options.rounds):
            for name, (python, hub) in peers.items():
                found[name].append(measure(python, hub, kind, options.seconds))
        base = 0.0
        for name, results in found.items():
            cpu = statistics.median(cpu for cpu, *_ in results)
            sleeps = statistics.median(it[1] for it in results)
            ticks = statistics.median(it[2] for it in results)
            base = base or cpu
            ratio = f"{cpu / base:5.2f} times the first" if base else ""
            print(
                f"{KINDS[kind]:20} {name:12} {cpu * 1e3:7.3f} ms CPU a second, "
                f"{sleeps:7.1f} sleeps a second, {ticks:6.0f} ticks, {ratio}",
                flush=True,
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
