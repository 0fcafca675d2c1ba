"""Whether two answers differ, where first, and how often that has been seen."""

from __future__ import annotations

import collections
import json
import re

from known import is_excused

#: Families of green programs in which descriptors or OS threads decide the order.
UNORDERED = ("sock", "patched", "pool", "misc")


def view(program, answer):
    """Return what is compared of an answer."""
    trace, reported = answer["trace"], answer["stderr"]
    if hands_over(program):
        kept = ("broken", "health", "fuzzer", "process")
        trace = [step for step in trace if step[0] in kept]
        reported = [
            it for it in reported if it.startswith("RAW") or "SystemError" in it
        ]
    elif program["family"] == "raw" and is_excused("left-suspended"):
        ends = [number for number, step in enumerate(trace) if step[0] == "end"]
        last = ends[-1] + 1 if ends else len(trace)
        trace = trace[:last] + [step for step in trace[last:] if step[0] == "health"]
    elif program["family"] in UNORDERED and is_excused("poll-order"):
        per = collections.defaultdict(list)
        for who, what in trace:
            per[who].append(what)
        trace = [[who, what] for who in sorted(per) for what in per[who]]
    return trace, reported


def hands_over(program) -> bool:
    """Tell whether it uses queues, semaphores or pools, whose order of service differs."""
    if program["family"] == "tasks" or not is_excused("hand-over"):
        return False
    if any(name[0] in "SQR" or name == "TLock" for name in program["objs"]):
        return True
    return '"waitall"' in json.dumps(program)


def _may_hang(program):
    """Tell whether the oracle may wait for ever where ours goes on."""
    if program["family"] == "tasks":
        return is_excused("loop-goes-on")
    return hands_over(program)


def compare(program, ours, oracle):
    """Return None, or what differs first: category, ours, the oracle's."""
    crashes = [ours.get("crash"), oracle.get("crash")]
    if all(crash and "Timeout (" in crash for crash in crashes):
        return None  # It never ends, on either side.
    if crashes[1] and "Timeout (" in crashes[1] and _may_hang(program):
        return None
    if any(crashes):
        category = "crash" if crashes[0] else "oracle-crash"
        return [category, *((crash or "")[-1500:] for crash in crashes)]
    (trace, reported), (expected, told) = view(program, ours), view(program, oracle)
    for step, other in zip(trace, expected, strict=False):
        if step != other:
            return ["trace", step, other]
    if len(trace) != len(expected):
        n = min(len(trace), len(expected))
        rest = [*trace[n : n + 1], None][0], [*expected[n : n + 1], None][0]
        return ["trace", *rest]
    more = collections.Counter(reported)
    more.subtract(told)
    if program["family"] != "tasks" and is_excused("reports"):
        more = +more
    if any(more.values()):
        return ["stderr", sorted((+more).elements()), sorted((-more).elements())]
    return None


def signature(difference) -> str:
    """Return what differences of one kind have in common."""
    category, ours, oracle = difference
    text = json.dumps([category, ours, oracle])
    if category == "crash":
        text = "crash" + "".join(
            re.findall(r"File \"[^\"]*\", line \d+ in \w+", ours)[:3]
        )
    text = re.sub(r"b\d+(\.\d+)?", "b", text)
    return re.sub(r"\d+(\.\d+)?", "N", text)
