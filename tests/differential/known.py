"""
The differences that are known, each with its reason.

They are kept out of the comparison so that they hide nothing else.
``--lift NAME`` takes one back in, to see what it covers.
"""

from __future__ import annotations

import os

VARIABLE = "DIFFERENTIAL_LIFT"

GREEN = {
    "hand-over": (
        "Queues, locks and semaphores are handed over at once and in order of arrival;"
        " upstream makes them free, and whoever asks first gets them; pools of items wait"
        " by a queue, and GreenPool.waitall waits for who was handed a place. Such programs"
        " are compared by what must always hold, not step by step, and where upstream"
        " never ends they are not compared."
    ),
    "reports": (
        "A failure that a waiter or a link has taken is not reported;"
        " upstream reports it as well."
    ),
    "link-errors": (
        "A link that fails at the end of its green thread keeps no later one from being"
        " called; upstream calls those when somebody next links to the green thread."
    ),
    "link-waits": (
        "While a link waits, others are called if their green thread has ended, and all are"
        " called if it is killed then; upstream calls them when that one is done, or never."
    ),
    "left-suspended": (
        "A raw greenlet that nobody refers to is ended at once; upstream's may stay, with"
        " what it left on its stack."
    ),
    "unstarted-exception": (
        "A custom exception that kills an unstarted green thread is its outcome, and the"
        " killer is unaffected; upstream raises TypeError in the killer."
    ),
    "shrunk-pool": (
        "A pools.Pool made smaller than it has free items does not hand out the rest."
    ),
    "closing-wakes": (
        "Closing a descriptor wakes those who wait for it; upstream leaves them waiting."
    ),
    "poll-order": (
        "In which order one poll reports several descriptors, and when an OS thread is"
        " done, is nobody's promise: these programs are compared green thread by green"
        " thread."
    ),
    "negative-timeouts": (
        "A wait of negative length counts as one of no length; upstream goes on before"
        " all that is ready."
    ),
    "killers-timer": (
        "Upstream's kill leaves a timer behind that resumes the killer later, wherever it"
        " waits by then, if something was raised in it meanwhile: a defect, mended in"
        " the oracle."
    ),
    "waits-timer": (
        "Upstream's Event.wait leaves its timer behind if something is raised in it, and"
        " that resumes the green thread later, wherever it waits by then: a defect,"
        " mended in the oracle."
    ),
    "dag-kill": (
        "Upstream's DAGPool.kill takes a green thread that had started out twice, and"
        " raises KeyError when it has killed it: a defect, mended in the oracle."
    ),
    "inline-spawn": (
        "A full GreenPool runs spawn_n from one of its own jobs in that job. Upstream"
        " swallows whatever is raised then, a Timeout of the caller, too; here that"
        " passes, as in spawn, and only what is an Exception is reported: a defect,"
        " mended in the oracle."
    ),
    "inline-thread": (
        "What spawn returns for a job that a full GreenPool ran in place has the job's"
        " caller as its parent: upstream's, killed, resumes that one wherever it waits."
        " A defect, mended in the oracle."
    ),
    "pool-waiting": (
        "A GreenPool that was made smaller than it has jobs counts those over its size as"
        " waiting to be spawned: a defect, mended in the oracle."
    ),
    "order-of-waiters": (
        "Waiters of an event and of a queue go on in order of arrival. Upstream keeps"
        " them in sets, where the order is that of addresses: the oracle is given ordered"
        " ones."
    ),
}

TASKS = {
    "loop-goes-on": (
        "The hub's loop does not end with the coroutine that was given to it, as the loop"
        " of asyncio.run does, so tasks that are left go on: programs cancel theirs, and"
        " are not compared where asyncio.run waits for ever for one that does not end."
    ),
    "running-frames": (
        "Task.get_stack() of a running task includes whoever runs it, and that differs."
    ),
}


def is_excused(name: str) -> bool:
    """Tell whether a known difference is kept out of the comparison."""
    assert name in GREEN or name in TASKS, name
    return name not in os.environ.get(VARIABLE, "").split(",")
