"""Runs the programs of many seeds, and keeps what differs, in one format."""

from __future__ import annotations

import collections
import json
import os
import re
import threading
import time
from pathlib import Path

import known
from compare import compare, signature, view
from processes import make_pair
from shrink import shrink

#: So many times longer are the units with which a difference must show again.
STRETCHES = {"real": (5, 15, 50, 150), "virtual": (1, 1, 1)}
#: Findings of one signature that are made smaller.
SHRUNK = 2


class Campaign:
    """
    All programs of a kind whose seeds are in a range.

    What differs is run again, on the real clock with longer units of time, so that two
    deadlines that were close together cannot be the reason; what the oracle does not
    repeat is counted as unstable. What is left is a *finding*:

    ``{kind, seed, family, category, ours, oracle, signature, program}``

    The category is ``trace``, ``stderr``, ``crash`` or ``oracle-crash``;
    ``program`` is the smallest one that still shows it.
    """

    def __init__(self, options, kind, generate, mode_of):
        self._options = options
        self._kind = kind
        self._generate = generate
        self._mode_of = mode_of
        self._lock = threading.Lock()
        self._signatures = collections.Counter()
        self._began = time.monotonic()
        self.result = {
            "kind": kind,
            "seeds": options.seeds,
            "programs": 0,
            "unstable": [],
            "families": {},
            "known": known.GREEN if kind == "green" else known.TASKS,
            "findings": [],
        }

    def run(self) -> list:
        """Run all of them; return the findings."""
        first, end = map(int, self._options.seeds.split(":"))
        seeds = iter(range(first, end))
        threads = [
            threading.Thread(target=self._work, args=(seeds,))
            for _ in range(self._options.pairs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.result["seconds"] = round(time.monotonic() - self._began)
        self._save()
        return self.result["findings"]

    def _work(self, seeds):
        pairs = {}
        while time.monotonic() - self._began < self._options.seconds:
            with self._lock:
                seed = next(seeds, None)
            if seed is None:
                break
            program = self._generate(seed)
            mode = self._mode_of(program)
            if mode not in pairs:
                pairs[mode] = make_pair(self._options, self._kind, mode)
            self._one(seed, program, pairs[mode])
        for pair in pairs.values():
            pair.stop()

    def _one(self, seed, program, pair):
        first = found = compare(program, *pair.run(program, self._options.unit))
        if found is not None and found[0] != "crash":
            found = self._confirm(program, pair)
        if found is not None:
            self._keep(seed, program, found, pair)
        family = program.get("mode", program["family"])
        with self._lock:
            if first is not None and found is None:
                self.result["unstable"].append(seed)
            self.result["programs"] += 1
            families = self.result["families"]
            families[family] = families.get(family, 0) + 1
            if self.result["programs"] % 1000 == 0:
                self._say_progress()
                self._save()

    def _confirm(self, program, pair):
        """Return a difference that stays where the oracle repeats itself; else None."""
        last = expected = None
        for factor in STRETCHES[self._options.clock]:
            ours, oracle = pair.run(program, self._options.unit * factor)
            found = compare(program, ours, oracle)
            if found is None or (last is not None and last[0] != found[0]):
                return None
            seen = re.sub(r"\d+\.\d+", "F", json.dumps(view(program, oracle)))
            if expected is not None and expected != seen:
                return None
            last, expected = found, seen
        return last

    def _keep(self, seed, program, found, pair):
        category, ours, oracle = found
        name = signature(found)
        with self._lock:
            self._signatures[name] += 1
            often = self._signatures[name]
        if often <= SHRUNK and self._options.shrink and category != "oracle-crash":

            def fails(trial):
                for factor in STRETCHES[self._options.clock][:2]:
                    both = pair.run(trial, self._options.unit * factor)
                    difference = compare(trial, *both)
                    if difference is None or difference[0] != category:
                        return False
                return True

            program = shrink(program, fails)
        finding = {
            "kind": self._kind,
            "seed": seed,
            "family": program.get("mode", program["family"]),
            "category": category,
            "ours": ours,
            "oracle": oracle,
            "signature": name,
            "program": program,
        }
        with self._lock:
            self.result["findings"].append(finding)
            print(describe(finding), flush=True)
            self._save()

    def _say_progress(self):
        print(
            f"{self.result['programs']} programs, {len(self.result['findings'])} findings,"
            f" {len(self.result['unstable'])} unstable,"
            f" {time.monotonic() - self._began:.0f} s",
            flush=True,
        )

    def _save(self):
        if self._options.json:
            part = Path(self._options.json + ".part")
            part.write_text(json.dumps(self.result, indent=1))
            os.replace(part, self._options.json)


def describe(finding) -> str:
    """Return a finding on one line."""
    return (
        f"{finding['kind']} {finding['seed']} ({finding['family']}): {finding['category']}:"
        f" ours {str(finding['ours'])[:160]}, oracle {str(finding['oracle'])[:160]}"
    )
