"""
Makes a random green program from a seed, as data.

Objects, the bodies of green threads, and the statements of main. A body starts
only later ones, so a program ends unless its waits do not.
Not among the programs: growing a pool that has waiters, and context variables,
which differ on purpose.
"""

from __future__ import annotations

import random

from green_io import SocketStatements
from green_patched import PatchedStatements
from green_pools import PoolStatements
from green_raw import RawStatements
from green_sync import SyncStatements
from green_threads import ThreadStatements


class Gen(
    ThreadStatements,
    SyncStatements,
    PoolStatements,
    RawStatements,
    SocketStatements,
    PatchedStatements,
):
    """The generator: `build` gives the program."""

    def __init__(self, seed, family=None):
        self.r = random.Random(seed)
        self.family = (
            family
            or self.r.choices(
                [
                    "core",
                    "sem",
                    "queue",
                    "pool",
                    "raw",
                    "sock",
                    "patched",
                    "misc",
                    "all",
                ],
                [34, 9, 12, 12, 11, 6, 8, 5, 6],
            )[0]
        )
        self.objs = {}
        self.bodies = {}
        self.nslots = 0
        self.tags = 0

    def d(self):
        """Return a duration in units; no two sums are equal."""
        return round(self.r.uniform(1, 6), 4)

    def nap(self):
        r = self.r
        if self.family == "sock":
            return self.d()
        return 0 if r.random() < 0.6 else self.d()

    def limit(self):
        """Return a timeout: none, zero, or some."""
        return self.r.choices([None, 0, self.d()], [4, 1, 5])[0]

    def build(self):
        r = self.r
        fam = self.family
        o = self.objs
        if fam in ("core", "all", "misc", "pool", "sem"):
            for i in range(r.randint(1, 2)):
                o[f"E{i}"] = ["Event"]
        if fam in ("sem", "all"):
            o["S0"] = ["Semaphore", r.randint(0, 2)]
            k = r.choice(["BoundedSemaphore", "Lock", "CappedSemaphore", "Semaphore"])
            o["S1"] = [k, *{"Lock": [], "CappedSemaphore": [1, 2]}.get(k, [1])]
        if fam in ("queue", "all"):
            for i in range(r.randint(1, 2)):
                o[f"Q{i}"] = [
                    r.choice(["Queue", "LightQueue", "PriorityQueue", "LifoQueue"]),
                    r.choice([None, 0, 1, 2, -1, 0, 1]),
                ]
        if fam in ("pool", "all"):
            o["P0"] = ["GreenPool", r.randint(1, 3)]
            if r.random() < 0.3:
                o["P1"] = ["GreenPool", r.randint(1, 2)]
        if fam in ("misc", "all"):
            o["R0"] = ["Pool", r.randint(0, 2), r.randint(2, 3), r.random() < 0.5]
            o["L0"] = ["local"]
            if r.random() < 0.5:
                o["R1"] = ["TokenPool", r.randint(1, 2)]
            if r.random() < 0.5:
                o["D0"] = ["DAGPool"]
        if fam == "sock":
            for i in range(r.randint(1, 2)):
                o[f"K{i}"] = ["socketpair"]
            if r.random() < 0.4:
                o["K2"] = ["pipe"]
        if fam == "patched":
            for k in r.sample(
                [
                    "tLock",
                    "tRLock",
                    "tCondition",
                    "tEvent",
                    "tBarrier",
                    "tSemaphore",
                    "tQueue",
                    "tlocal",
                    "tBoundedSemaphore",
                    "tSimpleQueue",
                ],
                4,
            ):
                o["T" + k[1:]] = [k]
            if "TBarrier" in o:
                o["TBarrier"].append(r.randint(2, 3))
        self.left = r.randint(2, 6)
        main = self.stmts(r.randint(4, 10), 0)
        while self.left > 0:
            main.insert(r.randint(0, len(main)), self.spawn())
        return {"family": fam, "objs": o, "bodies": self.bodies, "main": main}

    def spawn(self):
        """Return a statement that starts a new body; bodies start only later ones."""
        r = self.r
        self.left -= 1
        slot = self.nslots
        self.nslots += 1
        name = f"b{slot}"
        self.bodies[name] = []
        self.bodies[name] = self.stmts(r.randint(1, 7), 0)
        if self.family == "raw":
            return ["g_new", slot, name, r.choice([None, None, None, "main", "last"])]
        if self.family == "patched" and r.random() < 0.7:
            return ["t_start", slot, name, r.random() < 0.3]
        if self.family in ("pool", "all") and r.random() < 0.55 and "P0" in self.objs:
            return [
                r.choice(["pool_spawn", "pool_spawn", "pool_spawn_n"]),
                self.pick("P"),
                slot,
                name,
            ]
        how = r.choices(
            ["spawn", "spawn_n", "spawn_after", "spawn_after_local"], [7, 3, 2, 1]
        )[0]
        return [
            "spawn",
            slot,
            name,
            how,
            self.d() if how.startswith("spawn_after") and r.random() < 0.8 else 0,
        ]

    def pick(self, prefix):
        names = [n for n in self.objs if n.startswith(prefix)]
        return self.r.choice(names) if names else None

    def slot(self):
        return self.r.randrange(max(self.nslots, 1))

    def exc(self):
        return self.r.choice(
            ["Boom", "BaseBoom", "ValueError", "KeyError", "GreenletExit", "Boom"]
        )

    def value(self):
        return self.r.choice([0, 1, 2, 3, 5, 8])

    def stmts(self, n, depth):
        return [self.stmt(depth) for _ in range(n)]

    def stmt(self, depth):
        r = self.r
        if self.left > 0 and r.random() < 0.25:
            return self.spawn()
        if depth < 2 and r.random() < 0.14:
            kind = r.choice(["timeout", "timeout", "with_timeout", "try", "try", "try"])
            if self.family == "raw":
                kind = "try"
            body = self.stmts(r.randint(1, 3), depth + 1)
            if kind == "timeout":
                return [
                    "timeout",
                    r.choice([self.d(), self.d(), 0, None]),
                    r.choice([None, None, False, True, "Boom", "BaseBoom", "inst"]),
                    body,
                ]
            if kind == "with_timeout":
                return [
                    "with_timeout",
                    r.choice([self.d(), 0]),
                    r.choice([None, "value"]),
                    body,
                ]
            return [
                "try",
                body,
                r.choice(["GreenletExit", "Timeout", "Boom", "all", "none"]),
                self.stmts(r.randint(0, 2), depth + 1),
            ]
        choices = self.ops()
        name = r.choices([c[0] for c in choices], [c[1] for c in choices])[0]
        return getattr(self, "op_" + name)()

    def ops(self):
        fam = self.family
        base = [
            ("sleep", 16),
            ("kill", 5),
            ("wait", 5),
            ("cancel", 1.5),
            ("link", 3),
            ("unlink", 1),
            ("raise", 2),
            ("ret", 0.7),
            ("state", 2),
            ("timer", 2),
            ("timer_cancel", 1),
            ("tmo", 2.5),
            ("exc_after", 0.7),
        ]
        ev = [
            ("ev_send", 5),
            ("ev_wait", 6),
            ("ev_reset", 2),
            ("ev_poll", 1.5),
            ("ev_exc", 2),
        ]
        sem = [("acq", 7), ("rel", 6), ("with", 3), ("sem_state", 1.5)]
        q = [
            ("put", 8),
            ("get", 8),
            ("join", 2),
            ("done", 3),
            ("qresize", 1.5),
            ("qstate", 1.5),
        ]
        pool = [
            ("waitall", 3),
            ("resize", 2),
            ("pstate", 3),
            ("imap", 3),
            ("pile", 2.5),
            ("starmap", 1),
        ]
        misc = [
            ("rget", 4),
            ("rput", 4),
            ("ritem", 2),
            ("rresize", 1),
            ("rstate", 1),
            ("lset", 3),
            ("lget", 3),
            ("dspawn", 3),
            ("dpost", 2),
            ("dwait", 2),
            ("dkill", 1),
            ("dstate", 1),
        ]
        raw = [
            ("gswitch", 10),
            ("gthrow", 4),
            ("gparent", 5),
            ("gstate", 3),
            ("gsetparent", 2),
            ("gdel", 2),
            ("raise", 2),
            ("ret", 2),
        ]
        sock = [
            ("send", 9),
            ("recv", 9),
            ("sclose", 3),
            ("shut", 2),
            ("stmo", 2),
            ("tpool", 2.5),
            ("sendall", 2),
            ("sleep", 8),
            ("kill", 3),
            ("wait", 3),
        ]
        thr = [
            ("tlock", 8),
            ("tunlock", 6),
            ("twait", 6),
            ("tnotify", 5),
            ("tjoin", 4),
            ("tstate", 2),
            ("sleep", 9),
            ("tset", 3),
            ("tbar", 3),
            ("tq", 6),
            ("tloc", 3),
            ("kill", 2),
            ("tmo", 2),
            ("tsleep", 3),
            ("twith", 3),
            ("ttimer", 1.5),
        ]
        if fam == "core":
            return base + ev
        if fam == "sem":
            return base[:6] + sem + sem
        if fam == "queue":
            return base + q + q
        if fam == "pool":
            return base + pool + ev[:2]
        if fam == "misc":
            return base[:4] + misc
        if fam == "raw":
            return raw
        if fam == "sock":
            return sock
        if fam == "patched":
            return thr
        return base + ev + sem + q + pool + misc
