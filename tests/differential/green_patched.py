"""Statements about the standard module of threads, patched."""

from __future__ import annotations

import threading
import time


class PatchedStatements:
    """What the generator chooses from."""

    def t(self, *kinds):
        have = [k for k in kinds if "T" + k in self.objs]
        return "T" + self.r.choice(have) if have else None

    def op_tlock(self):
        n = self.t("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore")
        return (
            ["tlock", n, self.r.choice([-1, self.d(), "no"])] if n else self.op_sleep()
        )

    def op_tunlock(self):
        n = self.t("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore")
        return ["tunlock", n] if n else self.op_sleep()

    def op_twith(self):
        n = self.t("Lock", "RLock", "Condition", "Semaphore", "BoundedSemaphore")
        return (
            ["twith", n, self.stmts(self.r.randint(1, 2), 2)] if n else self.op_sleep()
        )

    def op_twait(self):
        n = self.t("Condition", "Event")
        return (
            ["twait", n, self.r.choice([None, self.d(), 0])] if n else self.op_sleep()
        )

    def op_tnotify(self):
        return (
            ["tnotify", "TCondition", self.r.choice([1, 2, "all"])]
            if "TCondition" in self.objs
            else self.op_sleep()
        )

    def op_tset(self):
        return (
            ["tset", "TEvent", self.r.random() < 0.7]
            if "TEvent" in self.objs
            else self.op_sleep()
        )

    def op_tbar(self):
        return (
            [
                "tbar",
                "TBarrier",
                self.r.choice(["wait", "wait", "wait", "abort", "reset"]),
                self.r.choice([None, self.d()]),
            ]
            if "TBarrier" in self.objs
            else self.op_sleep()
        )

    def op_tq(self):
        n = self.t("Queue", "SimpleQueue")
        return (
            [
                "tq",
                n,
                self.r.choice(["put", "get", "get", "put", "size"]),
                self.r.choice([None, self.d(), "no"]),
            ]
            if n
            else self.op_sleep()
        )

    def op_tloc(self):
        return (
            ["tloc", "Tlocal", self.r.choice(["get", "set"]), self.value()]
            if "Tlocal" in self.objs
            else self.op_sleep()
        )

    def op_tjoin(self):
        return ["tjoin", self.slot(), self.r.choice([None, self.d(), 0])]

    def op_tstate(self):
        return ["tstate", self.slot()]

    def op_tsleep(self):
        return ["tsleep", self.nap()]

    def op_ttimer(self):
        self.tags += 1
        return ["ttimer", self.tags, self.d(), self.r.random() < 0.3]


class PatchedActions:
    """What the machine does."""

    def do_t_start(self, who, slot, name, daemon):
        th = threading.Thread(target=self.target(name), name=name, daemon=True)
        self.threads.append(th)
        self.slots[slot] = th
        th.start()

    def target(self, name):
        f = self.body(name)

        def run():
            self.threads.append(
                self.gl.getcurrent()
            )  # so that no identity is used twice
            self.log(name, "thread", threading.current_thread().name)
            try:
                f()
            except Exception:
                pass

        return run

    def do_tlock(self, who, n, d):
        return bool(self.tlock(self.o[n], n, d))

    def tlock(self, o, n, d):
        if d == "no":
            return o.acquire(False)
        if n == "TCondition":
            return o.acquire()
        if "Semaphore" in n:
            return o.acquire(timeout=None if d == -1 else self.t(d))
        return o.acquire(True, -1 if d == -1 else self.t(d))

    def do_tunlock(self, who, n):
        return self.o[n].release()

    def do_twith(self, who, n, body):
        with self.o[n]:
            self.stmts(who, body)

    def do_twait(self, who, n, d):
        return self.o[n].wait(self.t(d))

    def do_tnotify(self, who, n, k):
        return self.o[n].notify_all() if k == "all" else self.o[n].notify(k)

    def do_tset(self, who, n, v):
        return self.o[n].set() if v else self.o[n].clear()

    def do_tbar(self, who, n, what, d):
        b = self.o[n]
        if what == "wait":
            b.wait(self.t(d))
            return "passed"
        return getattr(b, what)()

    def do_tq(self, who, n, what, d):
        q = self.o[n]
        if what == "size":
            return q.qsize()
        a = (False,) if d == "no" else (True, self.t(d))
        return q.put("v", *a) if what == "put" else q.get(*a)

    def do_tloc(self, who, n, what, v):
        if what == "set":
            self.o[n].x = v
        return getattr(self.o[n], "x", "unset")

    def do_tjoin(self, who, slot, d):
        t = self.slots.get(slot)
        if not isinstance(t, threading.Thread):
            return "none"
        return t.join(self.t(d))

    def do_tstate(self, who, slot):
        t = self.slots.get(slot)
        return (
            [t.is_alive(), t.name, t.daemon]
            if isinstance(t, threading.Thread)
            else "none"
        )

    def do_tsleep(self, who, d):
        return time.sleep(self.t(d))

    def do_ttimer(self, who, tag, d, cancel):
        t = threading.Timer(self.t(d), self.log, ("timer", tag, "fired"))
        t.daemon = True
        t.start()
        if cancel:
            self.ev.sleep(0)
            t.cancel()
