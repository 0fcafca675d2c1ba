"""Runs one green program and keeps its trace: who did what, in which order."""

from __future__ import annotations

import collections
import os
import time

from green_io import SocketActions
from green_patched import PatchedActions
from green_pools import PoolActions
from green_raw import RawActions
from green_sync import SyncActions
from green_threads import ThreadActions
from traces import OWN, BaseBoom, Boom, Ret, Stop, clean


class Machine(
    ThreadActions,
    SyncActions,
    PoolActions,
    RawActions,
    SocketActions,
    PatchedActions,
):
    """A program that is being run."""

    def __init__(self, program, unit, clock, *, ours):
        import eventlet
        import greenlet
        from eventlet import hubs

        self.ev = eventlet
        self.gl = greenlet
        self.hubs = hubs
        self.p = program
        self.ours = ours
        self.unit = unit
        self.clock = clock
        self.trace = []
        self.slots = {}
        self.timers = {}
        self.names = collections.Counter()
        self.o = {n: self.make(k) for n, k in program["objs"].items()}
        self.held = collections.defaultdict(list)
        self.last = None
        self.threads = []
        self.main_greenlet = greenlet.getcurrent()
        self.busy = collections.Counter()
        self.stay_open = set()
        self.taken = collections.Counter()
        self.put = collections.Counter()
        self.got = collections.Counter()

    def make(self, spec):
        import eventlet
        from eventlet import corolocal, dagpool, lock, pools, queue, semaphore

        kind, *args = spec
        if kind == "Event":
            return eventlet.Event()
        if kind in ("Semaphore", "BoundedSemaphore", "CappedSemaphore"):
            return getattr(semaphore, kind)(*args)
        if kind == "Lock":
            return lock.Lock()
        if kind in ("Queue", "LightQueue", "PriorityQueue", "LifoQueue"):
            return getattr(queue, kind)(*args)
        if kind == "GreenPool":
            return eventlet.GreenPool(*args)
        if kind == "Pool":
            count = iter(range(1000))
            return pools.Pool(
                min_size=args[0],
                max_size=args[1],
                order_as_stack=args[2],
                create=lambda: f"item{next(count)}",
            )
        if kind == "TokenPool":
            return pools.TokenPool(max_size=args[0])
        if kind == "local":
            return corolocal.local()
        if kind == "DAGPool":
            return dagpool.DAGPool()
        if kind == "socketpair":
            from eventlet.green import socket

            return list(socket.socketpair())
        if kind == "pipe":
            from eventlet import greenio

            r, w = os.pipe()
            return [greenio.GreenPipe(r, "rb", 0), greenio.GreenPipe(w, "wb", 0)]
        import queue as q
        import threading as th

        return {
            "tLock": th.Lock,
            "tRLock": th.RLock,
            "tCondition": th.Condition,
            "tEvent": th.Event,
            "tBarrier": lambda n=2: th.Barrier(n),
            "tSemaphore": lambda: th.Semaphore(1),
            "tBoundedSemaphore": lambda: th.BoundedSemaphore(1),
            "tQueue": lambda: q.Queue(1),
            "tSimpleQueue": q.SimpleQueue,
            "tlocal": th.local,
        }[kind](*args)

    def log(self, who, *what):
        self.trace.append([who, " ".join(clean(w) for w in what)])

    def fmt(self, e):
        if isinstance(e, Ret):
            return "Ret"
        text = clean(e)
        if (isinstance(e, self.gl.GreenletExit) and text not in OWN) or type(
            e
        ).__name__ in ("Collision", "UnsupportedOperation"):
            return type(e).__name__
        if (
            isinstance(e, (AssertionError, RuntimeError, TypeError, ValueError))
            and text not in OWN
        ):
            # The wording is each implementation's own.
            text = "..."
            if isinstance(e, ValueError) and "file descriptor cannot be" in str(e):
                return "OSError([Errno 9] Bad file descriptor)"
        return f"{type(e).__name__}({text})"

    def val(self, v):
        if isinstance(v, self.gl.greenlet):
            return f"<{type(v).__name__} {getattr(v, 'nm', '?')}>"
        if isinstance(v, (bytes, bytearray)):
            return f"<{len(v)} bytes>"
        if isinstance(v, BaseException):
            return self.fmt(v)
        if isinstance(v, (tuple, list)):
            return "[" + ", ".join(self.val(x) for x in v) + "]"
        return clean(repr(v))

    def t(self, d):
        return d * self.unit if d else d

    def exception(self, name, text="x"):
        return {
            "Boom": Boom,
            "BaseBoom": BaseBoom,
            "ValueError": ValueError,
            "KeyError": KeyError,
            "GreenletExit": self.gl.GreenletExit,
            "inst": Boom,
        }[name](text)

    def body(self, name):
        """Return what runs in a green thread."""
        n = self.names[name]
        self.names[name] += 1
        who = f"{name}.{n}" if n else name

        def run(*args):
            try:
                cur = self.gl.getcurrent()
                if cur is not self.main_greenlet and type(cur).__name__ != "dict":
                    cur.nm = who
            except Exception:
                pass
            del cur
            self.log(who, "start", *(self.val(a) for a in args))
            try:
                self.stmts(who, self.p["bodies"].get(name, ()))
            except Ret as e:
                self.log(who, "returns", e.args[0])
                return e.args[0]
            except BaseException as e:
                self.log(who, "dies", self.fmt(e))
                raise
            self.log(who, "ends")
            return who

        return run

    def stmts(self, who, stmts):
        for s in stmts:
            self.step(who, s)

    def step(self, who, s):
        op = s[0]
        f = getattr(self, "do_" + op)
        compound = op in ("timeout", "with_timeout", "try", "with", "ritem", "twith")
        if (
            op
            in (
                "sleep",
                "ev_wait",
                "acq",
                "put",
                "get",
                "wait",
                "kill",
                "join",
                "recv",
                "gswitch",
            )
            or compound
        ):
            self.log(who, ">", op, *[x for x in s[1:] if not isinstance(x, list)][:2])
        try:
            r = f(who, *s[1:])
        except Ret:
            raise
        except Exception as e:
            self.log(who, op, "!", self.fmt(e))
            if op == "raise" or (compound and isinstance(e, Boom)):
                raise
        except BaseException as e:
            self.log(who, op, "!!", self.fmt(e))
            raise
        else:
            self.log(who, op, "=", self.val(r))

    def run(self):
        ev = self.ev
        limit = ev.Timeout(self.unit * 90, Stop("main"))
        try:
            self.stmts("main", self.p["main"])
        except Ret:
            self.log("main", "returns")
        except BaseException as e:
            self.log("main", "dies", self.fmt(e))
        finally:
            limit.cancel()
        if self.p["family"] != "raw":
            self.settle("rest", 45)
            if self.ours:
                self.invariants(True)
            alive = []
            for slot in sorted(self.slots):
                g = self.slots[slot]
                self.log("end", slot, self.state(slot))
                if (
                    isinstance(g, self.gl.greenlet)
                    and not g.dead
                    and g is not self.main_greenlet
                ):
                    alive.append((slot, g))
            for slot, g in alive:
                try:
                    ev.kill(g)
                    self.log("end", slot, "killed", self.state(slot))
                except BaseException as e:
                    self.log("end", slot, "kill", self.fmt(e))
            if alive:
                self.settle("rest2", 15)
            alive = [
                s
                for s in self.slots
                if isinstance(self.slots[s], self.gl.greenlet)
                and not self.slots[s].dead
            ]
            if not alive and self.all_over() and self.ours:
                self.invariants(False)
            for slot in sorted(self.slots):
                g = self.slots[slot]
                if hasattr(g, "wait"):
                    try:
                        with ev.Timeout(self.unit, False):
                            self.log("outcome", slot, self.val(g.wait()))
                            continue
                        self.log("outcome", slot, "none")
                    except BaseException as e:
                        self.log("outcome", slot, self.fmt(e))
        else:
            for slot in sorted(self.slots):
                g = self.slots[slot]
                self.log("end", slot, self.state(slot), getattr(g.parent, "nm", None))
            g = None
            for slot in sorted(self.slots):
                try:
                    self.slots.pop(slot, None)
                except BaseException as e:
                    self.log("end", self.fmt(e))
        for n, x in self.o.items():
            try:
                if n[0] == "S":
                    self.log("object", n, self.semstate(x))
                elif n[0] == "Q":
                    self.log("object", n, self.qstate(x), list(getattr(x, "queue", ())))
                elif n[0] == "E":
                    self.log("object", n, x.ready(), x.has_exception())
                elif n[0] == "P":
                    self.log("object", n, self.pstate(x))
                elif n[0] == "R":
                    self.log("object", n, self.rstate(x))
            except BaseException as e:
                self.log("object", n, self.fmt(e))
        for n, x in self.o.items():
            if n[0] == "K":
                for s in x:
                    try:
                        s.close()
                    except Exception:
                        pass
        # Is the hub in order?
        try:
            with ev.Timeout(max(1, self.unit * 50)):
                self.log("health", ev.spawn(lambda: (ev.sleep(0), 7)[1]).wait())
        except BaseException as e:
            self.log("health", self.fmt(e))
        dirty = any(
            isinstance(g, self.gl.greenlet)
            and not g.dead
            and g is not self.main_greenlet
            for g in self.slots.values()
        )
        return dirty or any(
            not t.dead if isinstance(t, self.gl.greenlet) else t.is_alive()
            for t in self.threads
        )

    def all_over(self):
        """Have all bodies ended? Those of pool.spawn_n have no slot."""
        begun = sum(1 for _, what in self.trace if what.startswith("start"))
        ended = sum(
            1
            for who, what in self.trace
            if what == "ends"
            or (what.startswith(("dies", "returns")) and who != "main")
        )
        return begun == ended

    def settle(self, word, n):
        """Wait until nothing can be under way any more."""
        end = time.monotonic() + self.unit * n
        quiet = 0
        before = -1
        while time.monotonic() < end:
            try:
                self.ev.sleep(self.unit * 7.4)
            except BaseException as e:
                self.log("main", word, self.fmt(e))
            if len(self.trace) == before:
                quiet += 1
                if quiet >= 2:
                    break
            else:
                quiet = 0
            before = len(self.trace)
