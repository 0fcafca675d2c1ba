"""Makes a random program of coroutines and tasks from a seed, as data."""

from __future__ import annotations

import random

#: How a program is run on our side; see `task_modes`.
MODES = ("run", "spawn", "plain", "green", "await", "patched", "cross")


class Gen:
    """The generator: `build` gives the program."""

    def __init__(self, seed):
        self.r = random.Random(seed)
        self.mode = self.r.choices(MODES, [4, 5, 2, 2, 2, 2, 1])[0]
        self.nslots = 0
        self.bodies = {}
        self.tags = 0
        self.now = -1

    def build(self):
        r = self.r
        self.objs = {
            "E0": "Event",
            "L0": "Lock",
            "S0": "Semaphore",
            "C0": "Condition",
            "Q0": r.choice(["Queue", "LifoQueue", "PriorityQueue"]),
            "F0": "Future",
            "F1": "Future",
            "B0": "Barrier",
        }
        self.left = r.randint(2, 6)
        main = self.stmts(r.randint(4, 10), 0)
        while self.left > 0:
            main.insert(r.randint(0, len(main)), self.create())
        return {
            "family": "tasks",
            "mode": self.mode,
            "objs": self.objs,
            "bodies": self.bodies,
            "main": main,
            "qsize": r.choice([0, 1, 2]),
        }

    def d(self):
        return round(self.r.uniform(1, 6), 4)

    def nap(self):
        return 0 if self.r.random() < 0.6 else self.d()

    def limit(self):
        return self.r.choices([None, 0, self.d()], [4, 1, 5])[0]

    def new(self):
        self.left -= 1
        slot = self.nslots
        self.nslots += 1
        name = f"b{slot}"
        self.bodies[name] = []
        before, self.now = self.now, slot
        self.bodies[name] = self.stmts(self.r.randint(1, 6), 0)
        self.now = before
        return slot, name

    def create(self):
        slot, name = self.new()
        return ["create", slot, name]

    def slot(self):
        return self.r.randrange(max(1, self.nslots))

    def later(self):
        """Return a slot to wait for. Bodies wait for later ones only: tasks that wait for each other hang."""
        return self.r.randrange(self.now + 1, max(self.nslots, self.now + 1) + 1)

    def slots(self):
        return [self.later() for _ in range(self.r.randint(1, 3))]

    def exc(self):
        return self.r.choice(
            ["Boom", "ValueError", "Boom", "BaseBoom", "CancelledError", "TimeoutError"]
        )

    def stmts(self, n, depth):
        return [self.stmt(depth) for _ in range(n)]

    def stmt(self, depth):
        r = self.r
        if self.left > 0 and r.random() < 0.25:
            return self.create()
        if depth < 2 and r.random() < 0.2:
            kind = r.choice(
                ["try", "try", "timeout", "lock", "group", "gen", "sem", "cond"]
            )
            body = self.stmts(r.randint(1, 3), depth + 1)
            if kind == "try":
                return [
                    "try",
                    body,
                    r.choice(["Cancelled", "Boom", "all", "none", "Timeout"]),
                    self.stmts(r.randint(0, 2), depth + 1),
                ]
            if kind == "timeout":
                return [
                    "timeout",
                    r.choice([self.d(), 0, None, self.d()]),
                    body,
                    r.choice([None, None, self.d(), "past"]),
                ]
            if kind == "lock":
                return ["lock", "L0", body]
            if kind == "sem":
                return ["sem", "S0", body]
            if kind == "cond":
                return ["cond", "C0", body]
            if kind == "gen":
                return [
                    "gen",
                    r.choice(["all", "break", "aclose", "athrow", "leave"]),
                    r.randint(1, 4),
                    body,
                ]
            children = []
            for _ in range(r.randint(1, 3)):
                if self.left > 0:
                    children.append(self.new())
            return ["group", children, body]
        name = r.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        return getattr(self, "op_" + name)()

    def op_sleep(self):
        return ["sleep", self.nap()]

    def op_cancel(self):
        return ["cancel", self.slot(), self.r.choice([None, None, "msg"])]

    def op_await(self):
        return ["await", self.later()]

    def op_gather(self):
        return ["gather", self.slots(), self.r.random() < 0.5]

    def op_gather_new(self):
        if self.left <= 0:
            return self.op_gather()
        return [
            "gather_new",
            [self.new()[1] for _ in range(min(self.left, self.r.randint(1, 2)))],
            self.r.random() < 0.5,
        ]

    def op_wait(self):
        return [
            "wait",
            self.slots(),
            self.limit(),
            self.r.choice(["ALL_COMPLETED", "FIRST_COMPLETED", "FIRST_EXCEPTION"]),
        ]

    def op_wait_for(self):
        return ["wait_for", self.later(), self.limit()]

    def op_wait_for_new(self):
        if self.left <= 0:
            return self.op_wait_for()
        return ["wait_for_new", self.new()[1], self.limit()]

    def op_shield(self):
        return ["shield", self.later(), self.limit()]

    def op_as_completed(self):
        return ["as_completed", self.slots(), self.limit()]

    def op_event(self):
        return [
            "event",
            "E0",
            self.r.choice(["set", "wait", "clear", "wait"]),
            self.d(),
        ]

    def op_queue(self):
        return [
            "queue",
            "Q0",
            self.r.choice(
                [
                    "put",
                    "get",
                    "join",
                    "done",
                    "get",
                    "put",
                    "put_nowait",
                    "get_nowait",
                    "size",
                ]
            ),
            self.r.randint(0, 9),
            self.limit(),
        ]

    def op_acquire(self):
        return ["acquire", self.r.choice(["L0", "S0", "C0"]), self.d()]

    def op_release(self):
        return ["release", self.r.choice(["L0", "S0", "C0"])]

    def op_notify(self):
        return ["notify", "C0", self.r.choice([1, 2, "all"])]

    def op_cwait(self):
        return ["cwait", "C0", self.limit()]

    def op_barrier(self):
        return [
            "barrier",
            "B0",
            self.r.choice(["wait", "wait", "abort", "reset"]),
            self.d(),
        ]

    def op_call_soon(self):
        self.tags += 1
        return [
            "call_soon",
            self.tags,
            self.r.choice(["log", "log", "raise", "set", "cancel", "create"]),
            self.slot(),
        ]

    def op_call_later(self):
        self.tags += 1
        return [
            "call_later",
            self.tags,
            self.nap(),
            self.r.choice(["log", "raise", "cancel", "set"]),
            self.slot(),
        ]

    def op_uncall(self):
        return ["uncall", self.r.randint(1, max(1, self.tags))]

    def op_future(self):
        return [
            "future",
            self.r.choice(["F0", "F1"]),
            self.r.choice(
                ["result", "exc", "await", "await", "cancel", "state", "new"]
            ),
            self.exc(),
            self.d(),
        ]

    def op_raise(self):
        return ["raise", self.exc()]

    def op_ret(self):
        return ["ret", self.r.randint(0, 9)]

    def op_ctx(self):
        return ["ctx", self.r.choice(["get", "set", "set"]), self.r.randint(0, 99)]

    def op_who(self):
        return ["who"]

    def op_tasks(self):
        return ["tasks"]

    def op_uncancel(self):
        return ["uncancel"]

    def op_selfcancel(self):
        return ["selfcancel"]

    def op_callback(self):
        self.tags += 1
        return ["callback", self.slot(), self.tags]

    def op_thread(self):
        return ["thread", self.d(), self.r.choice([None, None, "Boom"])]

    def op_sock(self):
        return ["sock", self.r.choice(["send", "recv"]), self.r.randint(1, 5)]

    def op_threadsafe(self):
        self.tags += 1
        return ["threadsafe", self.tags, self.d()]

    def op_state(self):
        return ["state", self.slot()]

    def op_nestedrun(self):
        return ["nestedrun"]


WEIGHTS = {
    "sleep": 16,
    "cancel": 6,
    "await": 6,
    "gather": 4,
    "gather_new": 3,
    "wait": 4,
    "wait_for": 3,
    "wait_for_new": 3,
    "shield": 3,
    "as_completed": 2,
    "event": 5,
    "queue": 8,
    "acquire": 4,
    "release": 3,
    "notify": 3,
    "cwait": 3,
    "barrier": 2,
    "call_soon": 4,
    "call_later": 3,
    "uncall": 1,
    "future": 6,
    "raise": 2,
    "ret": 0.7,
    "ctx": 4,
    "who": 2,
    "tasks": 1,
    "uncancel": 1.5,
    "selfcancel": 1.5,
    "callback": 3,
    "thread": 1.5,
    "sock": 2,
    "threadsafe": 1,
    "state": 2,
    "nestedrun": 0.3,
}
