"""Statements about pools of green threads and of things, and about locals."""

from __future__ import annotations

from known import is_excused


class PoolStatements:
    """What the generator chooses from."""

    def op_waitall(self):
        return ["waitall", self.pick("P"), self.limit()]

    def op_resize(self):
        return ["resize", self.pick("P"), self.r.randint(1, 3)]

    def op_pstate(self):
        return ["pstate", self.pick("P")]

    def job(self):
        r = self.r
        return [
            r.choice([0, 0, self.d()]),
            r.choice([None, None, None, "Boom", "ValueError"]),
        ]

    def op_imap(self):
        return [
            "imap",
            self.pick("P"),
            [self.job() for _ in range(self.r.randint(0, 4))],
            self.r.choice(["all", "all", "first", "sleepy"]),
        ]

    def op_starmap(self):
        return [
            "starmap",
            self.pick("P"),
            [self.job() for _ in range(self.r.randint(0, 4))],
            "all",
        ]

    def op_pile(self):
        return [
            "pile",
            self.r.choice([self.pick("P"), 1, 2]),
            [self.job() for _ in range(self.r.randint(0, 4))],
        ]

    def op_rget(self):
        return ["rget", self.pick("R"), self.limit()]

    def op_rput(self):
        return ["rput", self.pick("R")]

    def op_ritem(self):
        return ["ritem", self.pick("R"), self.stmts(self.r.randint(1, 2), 2)]

    def op_rresize(self):
        return ["rresize", self.pick("R"), self.r.randint(0, 4)]

    def op_rstate(self):
        return ["rstate", self.pick("R")]

    def op_lset(self):
        return ["lset", "L0", self.value()]

    def op_lget(self):
        return ["lget", "L0"]

    def op_dspawn(self):
        r = self.r
        keys = "abcd"
        i = r.randrange(4)
        return [
            "dspawn",
            keys[i],
            [k for k in keys[:i] if r.random() < 0.6],
            self.job(),
        ]

    def op_dpost(self):
        return ["dpost", self.r.choice("abcd"), self.value(), self.r.random() < 0.3]

    def op_dwait(self):
        return [
            "dwait",
            self.r.choice([["a"], ["b"], ["a", "c"], ["d"], None]),
            self.d(),
        ]

    def op_dkill(self):
        return ["dkill", self.r.choice("abcd")]

    def op_dstate(self):
        return ["dstate"]


class PoolActions:
    """What the machine does."""

    def do_pool_spawn(self, who, p, slot, name):
        g = self.o[p].spawn(self.body(name))
        g.nm = name
        self.slots[slot] = g

    def do_pool_spawn_n(self, who, p, slot, name):
        return self.o[p].spawn_n(self.body(name))

    def do_waitall(self, who, p, d):
        if d is None:
            return self.o[p].waitall()
        with self.ev.Timeout(self.t(d), False):
            return self.o[p].waitall()
        return "timed out"

    def do_resize(self, who, p, n):
        p = self.o[p]
        if p.waiting():
            return "has waiters"
        return p.resize(n)

    def pstate(self, p):
        return [p.free(), p.running(), p.waiting(), p.size]

    def do_pstate(self, who, p):
        return self.pstate(self.o[p])

    def jobs(self, who):
        def work(i, d, exc):
            self.log(f"{who}/job{i}", "begins")
            self.ev.sleep(self.t(d))
            self.log(f"{who}/job{i}", "done")
            if exc:
                raise self.exception(exc, f"job{i}")
            return i * 10

        return work

    def consume(self, who, it, how):
        out = []
        while True:
            try:
                out.append(next(it))
                self.log(who, "next", self.val(out[-1]))
            except StopIteration:
                break
            except Exception as e:
                self.log(who, "next!", self.fmt(e))
                out.append(type(e).__name__)
            if how == "first":
                break
            if how == "sleepy":
                self.ev.sleep(self.t(1.37))
        return out

    def do_imap(self, who, p, jobs, how):
        n = list(range(len(jobs)))
        it = self.o[p].imap(
            self.jobs(who), n, [j[0] for j in jobs], [j[1] for j in jobs]
        )
        return self.consume(who, it, how)

    def do_starmap(self, who, p, jobs, how):
        return self.consume(
            who,
            self.o[p].starmap(self.jobs(who), [(i, *j) for i, j in enumerate(jobs)]),
            how,
        )

    def do_pile(self, who, p, jobs):
        pile = self.ev.GreenPile(self.o[p] if isinstance(p, str) else (p or 1))
        for i, j in enumerate(jobs):
            pile.spawn(self.jobs(who), i, *j)
        return self.consume(who, pile, "all")

    def do_rget(self, who, p, d):
        if d is None:
            x = self.o[p].get()
        else:
            with self.ev.Timeout(self.t(d)):
                x = self.o[p].get()
        self.held[p].append(x)
        return x if isinstance(x, str) else type(x).__name__

    def do_rput(self, who, p):
        return self.o[p].put(self.held[p].pop(0)) if self.held[p] else "none"

    def do_ritem(self, who, p, body):
        with self.o[p].item() as x:
            self.log(who, "item", x if isinstance(x, str) else type(x).__name__)
            self.stmts(who, body)

    def do_rresize(self, who, p, n):
        if is_excused("shrunk-pool"):
            n = max(
                n,
                self.o[p].current_size,
                self.o[p].max_size if self.o[p].waiting() else 0,
            )
        return self.o[p].resize(n)

    def rstate(self, p):
        return [p.free(), p.waiting(), p.current_size, p.max_size, len(p.free_items)]

    def do_rstate(self, who, p):
        return self.rstate(self.o[p])

    def do_lset(self, who, n, v):
        self.o[n].x = v

    def do_lget(self, who, n):
        return getattr(self.o[n], "x", "unset")

    def dag(self):
        return self.o.get("D0")

    def do_dspawn(self, who, key, deps, job):
        if not self.dag():
            return "none"

        def work(k, results):
            got = sorted((a, self.val(b)) for a, b in results)
            self.log(who, "dag", k, got)
            self.ev.sleep(self.t(job[0]))
            if job[1]:
                raise self.exception(job[1], k)
            return k * 2

        return self.dag().spawn(key, deps, work)

    def do_dpost(self, who, key, v, replace):
        if not self.dag():
            return "none"
        return self.dag().post(key, v, replace)

    def do_dwait(self, who, keys, d):
        if not self.dag():
            return "none"
        with self.ev.Timeout(self.t(d), False):
            r = self.dag().wait(keys) if keys else self.dag().waitall()
            return sorted((k, self.val(v)) for k, v in r.items())
        return "timed out"

    def do_dkill(self, who, key):
        if not self.dag():
            return "none"
        return self.dag().kill(key)

    def do_dstate(self, who):
        d = self.dag()
        if not d:
            return "none"
        return [d.running(), sorted(d.running_keys()), d.waiting(), sorted(d.keys())]
