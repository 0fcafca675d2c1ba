"""
Random programs, run by two implementations whose traces must be equal.

``green``: programs of green threads, by ours and by upstream Eventlet on epolls.
``tasks``: programs of coroutines and tasks, by ours in several modes and by plain
asyncio in a process that never imports Eventlet.

A program is data, made from its seed alone. What differs is in one format: see
`campaign.Campaign`. Differences that are known are in `known`, with their reasons.
Exit status: 1 if anything else differs.

    python tests/differential green --seeds 0:1000 --upstream FOLDER
    python tests/differential tasks --show 17
    python tests/differential green --program FILE
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path

import known
from campaign import Campaign
from compare import compare
from processes import make_pair


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="differential",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", choices=["green", "tasks"])
    parser.add_argument("--seeds", default="0:1000", help="first:end")
    parser.add_argument("--ours", default=sys.executable, help="interpreter")
    parser.add_argument("--oracle", default=sys.executable, help="interpreter")
    parser.add_argument("--upstream", help="folder with upstream's packages")
    parser.add_argument("--json", help="file for the findings")
    parser.add_argument("--pairs", type=int, default=4, help="pairs of processes")
    parser.add_argument("--unit", type=float, help="seconds")
    parser.add_argument(
        "--clock",
        choices=["virtual", "real"],
        default="virtual",
    )
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument(
        "--only", help="one family of green programs, one mode of tasks"
    )
    parser.add_argument("--lift", default="", help="known differences to look at")
    parser.add_argument("--no-shrink", dest="shrink", action="store_false")
    parser.add_argument("--show", type=int, metavar="SEED", help="print its program")
    parser.add_argument("--program", help="file: print both traces of one program")
    parser.add_argument("--known", action="store_true", help="list known differences")
    options = parser.parse_args()
    if options.unit is None:
        options.unit = 1.0 if options.clock == "virtual" else 0.002
    return options


def generator(options: argparse.Namespace):
    """Return what makes the program of a seed, and what tells its mode."""
    if options.kind == "green":
        import green_program

        def make(seed):
            return green_program.Gen(seed, options.only).build()

        return make, lambda it: "patched" if it["family"] == "patched" else ""
    import task_program

    def make(seed):
        program = task_program.Gen(seed).build()
        if options.only:
            program["mode"] = options.only
        return program

    return make, lambda it: it["mode"]


def show_traces(options, mode_of) -> int:
    """Run one program and print both traces beside each other."""
    program = json.loads(Path(options.program).read_text())
    program = program.get("program", program)
    pair = make_pair(options, options.kind, mode_of(program))
    ours, oracle = pair.run(program, options.unit)
    pair.stop()
    length = max(len(ours["trace"]), len(oracle["trace"]))
    for step in range(length):
        left, right = (
            answer["trace"][step] if step < len(answer["trace"]) else None
            for answer in (ours, oracle)
        )
        print("  " if left == right else "##", f"{left!s:70} | {right}")
    for name, answer in (("ours", ours), ("oracle", oracle)):
        print("stderr", name, answer["stderr"], answer.get("crash", ""))
    found = compare(program, ours, oracle)
    print("difference:", found)
    return 1 if found else 0


def main() -> int:
    """Do what the command line says; return the exit status."""
    options = parse()
    os.environ[known.VARIABLE] = options.lift
    if options.known:
        for name, reason in (known.GREEN | known.TASKS).items():
            print(f"{name}: {reason}")
        return 0
    make, mode_of = generator(options)
    if options.show is not None:
        print(json.dumps(make(options.show), indent=1))
        return 0
    if options.program:
        return show_traces(options, mode_of)
    campaign = Campaign(options, options.kind, make, mode_of)
    findings = campaign.run()
    result = campaign.result
    print(
        f"{result['programs']} {options.kind} programs, {len(findings)} findings,"
        f" {len(result['unstable'])} unstable, {result['seconds']} s"
    )
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
