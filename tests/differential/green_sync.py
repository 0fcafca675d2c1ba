"""Statements about events, semaphores and queues, and what must always hold of them."""

from __future__ import annotations

from traces import BaseBoom, Boom, Stop


class SyncStatements:
    """What the generator chooses from."""

    def op_ev_send(self):
        return ["ev_send", self.pick("E"), self.value()]

    def op_ev_wait(self):
        # Not zero: here such a wait takes one turn more, and returns what was sent meanwhile.
        return ["ev_wait", self.pick("E"), self.limit()]

    def op_ev_reset(self):
        return ["ev_reset", self.pick("E")]

    def op_ev_poll(self):
        return ["ev_poll", self.pick("E")]

    def op_ev_exc(self):
        return ["ev_exc", self.pick("E"), self.exc()]

    def op_acq(self):
        r = self.r
        return [
            "acq",
            self.pick("S"),
            r.random() < 0.8,
            r.choices([None, 0, -1, self.d(), -2], [5, 1, 0.5, 4, 0.2])[0],
        ]

    def op_rel(self):
        return ["rel", self.pick("S"), self.r.random() < 0.8]

    def op_with(self):
        return ["with", self.pick("S"), self.stmts(self.r.randint(1, 2), 2)]

    def op_sem_state(self):
        return ["sem_state", self.pick("S")]

    def op_put(self):
        return [
            "put",
            self.pick("Q"),
            self.value(),
            self.r.random() < 0.75,
            self.limit(),
        ]

    def op_get(self):
        return ["get", self.pick("Q"), self.r.random() < 0.75, self.limit()]

    def op_join(self):
        return ["join", self.pick("Q"), self.limit()]

    def op_done(self):
        return ["done", self.pick("Q")]

    def op_qresize(self):
        return ["qresize", self.pick("Q"), self.r.choice([None, 0, 1, 2, 3])]

    def op_qstate(self):
        return ["qstate", self.pick("Q")]


class SyncActions:
    """What the machine does."""

    def do_ev_send(self, who, e, v):
        return self.o[e].send(v)

    def do_ev_exc(self, who, e, exc):
        return self.o[e].send_exception(self.exception(exc, "sent"))

    def do_ev_wait(self, who, e, d):
        return self.o[e].wait(self.t(d))

    def do_ev_reset(self, who, e):
        return self.o[e].reset()

    def do_ev_poll(self, who, e):
        e = self.o[e]
        return [e.ready(), e.has_result(), e.has_exception(), e.poll("no")]

    def do_acq(self, who, s, blocking, d):
        n, s = s, self.o[s]
        if "Capped" in type(s).__name__:
            return s.acquire(blocking)
        r = s.acquire(blocking, self.t(d) if d not in (-1, -2) else d)
        self.taken[n] += bool(r)
        return r

    def do_rel(self, who, s, blocking):
        r = self.o[s].release(blocking)
        self.taken[s] -= 1
        return r

    def do_with(self, who, s, body):
        x = self.o[s]
        x.__enter__()
        self.taken[s] += 1
        try:
            self.stmts(who, body)
        finally:
            x.__exit__(None, None, None)
            self.taken[s] -= 1

    def semstate(self, s):
        return [s.locked(), s.balance, getattr(s, "counter", None), s.bounded()]

    def do_sem_state(self, who, s):
        return self.semstate(self.o[s])

    def do_put(self, who, q, v, block, d):
        try:
            r = self.o[q].put(v, block, self.t(d))
        except (self.gl.GreenletExit, Boom, BaseBoom, self.ev.Timeout, Stop):
            self.put[q, "maybe"] += 1
            raise
        self.put[q] += 1
        return r

    def do_get(self, who, q, block, d):
        try:
            r = self.o[q].get(block, self.t(d))
        except (self.gl.GreenletExit, Boom, BaseBoom, self.ev.Timeout, Stop):
            self.got[q, "maybe"] += 1
            raise
        self.got[q] += 1
        return r

    def do_join(self, who, q, d):
        q = self.o[q]
        if not hasattr(q, "join"):
            return "none"
        if d is None:
            return q.join()
        with self.ev.Timeout(self.t(d), False):
            return q.join()
        return "timed out"

    def do_done(self, who, q):
        q = self.o[q]
        return q.task_done() if hasattr(q, "task_done") else "none"

    def do_qresize(self, who, q, n):
        return self.o[q].resize(n)

    def qstate(self, q):
        return [
            q.qsize(),
            q.empty(),
            q.full(),
            q.putting(),
            q.getting(),
            q.maxsize,
            getattr(q, "unfinished_tasks", None),
        ]

    def do_qstate(self, who, q):
        return self.qstate(self.o[q])

    def invariants(self, quiet):
        """Nobody waits for what is there, nothing got lost or was made from nothing."""
        for n, x in self.o.items():
            if n[0] == "Q":
                size = x.qsize()
                if quiet and size and x.getting():
                    self.log(
                        "broken",
                        n,
                        "getters wait although there are items",
                        self.qstate(x),
                    )
                if (
                    quiet
                    and x.putting()
                    and (x.maxsize is None or size < x.maxsize or x.getting())
                ):
                    self.log(
                        "broken",
                        n,
                        "putters wait although there is room",
                        self.qstate(x),
                    )
                lost = self.put[n] - self.got[n] - size
                if (
                    not quiet
                    and not -self.put[n, "maybe"] <= lost <= self.got[n, "maybe"]
                ):
                    self.log(
                        "broken",
                        n,
                        "lost",
                        lost,
                        "put",
                        self.put[n],
                        "got",
                        self.got[n],
                        "left",
                        size,
                    )
                if not quiet and (x.putting() or x.getting()):
                    self.log(
                        "broken", n, "someone waits though all are dead", self.qstate(x)
                    )
            elif n[0] == "S" and "Capped" not in type(x).__name__:
                waiting = x.counter - x.balance
                if quiet and x.counter > 0 and waiting:
                    self.log(
                        "broken",
                        n,
                        "someone waits for a free semaphore",
                        self.semstate(x),
                    )
                start = (self.p["objs"][n][1:] or [1])[0]
                if not quiet and x.counter + self.taken[n] != start:
                    self.log(
                        "broken",
                        n,
                        "counter",
                        x.counter,
                        "taken",
                        self.taken[n],
                        "of",
                        start,
                    )
                if not quiet and waiting:
                    self.log(
                        "broken",
                        n,
                        "someone waits though all are dead",
                        self.semstate(x),
                    )
