"""Statements about green threads: their life, kills, links, timers, timeouts."""

from __future__ import annotations

import warnings

from known import is_excused
from traces import BaseBoom, Boom, Ret, Stop


class ThreadStatements:
    """What the generator chooses from."""

    def op_sleep(self):
        return ["sleep", self.nap()]

    def op_kill(self):
        return [
            "kill",
            self.slot(),
            self.r.choices(
                [None, "Boom", "BaseBoom", "triple", "class", "GreenletExit"],
                [6, 2, 1, 1, 1, 1],
            )[0],
            self.r.random() < 0.5,
        ]

    def op_cancel(self):
        return ["cancel", self.slot()]

    def op_wait(self):
        return ["wait", self.slot(), self.limit()]

    def op_link(self):
        self.tags += 1
        return [
            "link",
            self.slot(),
            self.r.randint(0, 2),
            self.r.choice(["log", "log", "log", "wait", "sleep", "raise"]),
        ]

    def op_unlink(self):
        return ["unlink", self.slot(), self.r.randint(0, 2)]

    def op_raise(self):
        return ["raise", self.exc()]

    def op_ret(self):
        return ["ret", self.value()]

    def op_state(self):
        return ["state", self.slot()]

    def op_timer(self):
        self.tags += 1
        return [
            "timer",
            self.tags,
            self.nap(),
            self.r.choice(["global", "local"]),
            self.r.choice(["log", "log", "raise", "kill"]),
            self.slot(),
        ]

    def op_timer_cancel(self):
        return ["timer_cancel", self.r.randint(1, max(1, self.tags))]

    def op_tmo(self):
        return ["tmo", self.r.choice([0, self.d(), self.d()]), self.nap()]

    def op_exc_after(self):
        return ["exc_after", self.d(), self.nap()]


class ThreadActions:
    """What the machine does."""

    def do_sleep(self, who, d):
        return self.ev.sleep(self.t(d))

    def do_spawn(self, who, slot, name, how, d):
        f = self.body(name)
        if how in ("spawn", "spawn_n"):
            g = getattr(self.ev, how)(f)
        elif how == "spawn_after":
            g = self.ev.spawn_after(self.t(d), f)
        else:
            g = self.ev.greenthread.spawn_after_local(self.t(d), f)
        if how != "spawn_n":
            g.nm = name
        self.slots[slot] = g
        self.last = g

    def do_kill(self, who, slot, exc, method):
        return self.kill(self.slots.get(slot), exc, method)

    def kill(self, g, exc, method):
        if g is None or not isinstance(g, self.gl.greenlet):
            return "none"
        args = ()
        if exc in ("Boom", "BaseBoom", "GreenletExit"):
            if not g and is_excused("unstarted-exception"):
                return "unstarted"
            args = (self.exception(exc, "kill"),)
        elif exc == "class":
            if not g and is_excused("unstarted-exception"):
                return "unstarted"
            args = (Boom,)
        elif exc == "triple":
            args = (Boom, Boom("triple"), None)
        if method and hasattr(g, "kill"):
            return g.kill(*args)
        return self.ev.kill(g, *args)

    def do_cancel(self, who, slot):
        g = self.slots.get(slot)
        if g is None or not hasattr(g, "cancel"):
            return "none"
        return g.cancel()

    def do_wait(self, who, slot, d):
        g = self.slots.get(slot)
        if g is None or not hasattr(g, "wait") or g is self.gl.getcurrent():
            return "none"
        if d is None:
            return g.wait()
        with self.ev.Timeout(self.t(d), False):
            return g.wait()
        return "timed out"

    def linked(self, g, who, tag, what):
        self.log(who, "link", tag, what, self.val(g))
        if what == "wait":
            try:
                self.log(who, "link got", self.val(g.wait()))
            except BaseException as e:
                self.log(who, "link got", self.fmt(e))
        elif what == "sleep":
            self.ev.sleep(0)
            self.log(who, "link slept")
        elif what == "raise":
            raise Boom("link")

    def do_link(self, who, slot, tag, what):
        g = self.slots.get(slot)
        if g is None or not hasattr(g, "link"):
            return "none"
        if (
            what == "raise"
            and is_excused("link-errors")
            and not getattr(g, "dead", True)
        ):
            what = "log"
        if what == "sleep" and is_excused("link-waits"):
            what = "log"
        return g.link(self.linked, who, tag, what)

    def do_unlink(self, who, slot, tag):
        g = self.slots.get(slot)
        if g is None or not hasattr(g, "unlink"):
            return "none"
        return g.unlink(self.linked, who, tag, "log")

    def do_raise(self, who, exc):
        raise self.exception(exc, "raised")

    def do_ret(self, who, v):
        raise Ret(v)

    def state(self, slot):
        g = self.slots.get(slot)
        if g is None:
            return "none"
        if not isinstance(g, self.gl.greenlet):
            return "thread"
        return f"{type(g).__name__} bool={bool(g)} dead={g.dead} started={getattr(g, 'gr_frame', None) is not None}"

    def do_state(self, who, slot):
        return self.state(slot)

    def fire(self, tag, what, slot):
        self.log("timer", tag, what)
        if what == "raise":
            raise Boom("timer")
        if what == "kill":
            g = self.slots.get(slot)
            if isinstance(g, self.gl.greenlet) and g is not self.main_greenlet:
                # What it returns is not logged: here others run before kill returns, upstream they do not.
                self.log("timer", tag, "killed", self.val(self.ev.kill(g)))

    def do_timer(self, who, tag, d, scope, what, slot):
        hub = self.hubs.get_hub()
        self.timers[tag] = getattr(hub, "schedule_call_" + scope)(
            self.t(d), self.fire, tag, what, slot
        )

    def do_timer_cancel(self, who, tag):
        t = self.timers.get(tag)
        if t is None:
            return "none"
        before = t.pending
        return [before, t.cancel(), t.pending]

    def do_tmo(self, who, d, nap):
        t = self.ev.Timeout(self.t(d))
        try:
            self.ev.sleep(self.t(nap))
            return t.pending
        except self.ev.Timeout as e:
            return ["expired", e is t, t.pending]
        finally:
            t.cancel()

    def do_exc_after(self, who, d, nap):

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            t = self.ev.greenthread.exc_after(self.t(d), Boom("after"))
        try:
            self.ev.sleep(self.t(nap))
        finally:
            t.cancel()

    def do_timeout(self, who, d, exc, body):
        e = (
            exc
            if exc in (None, True, False)
            else (
                self.exception(exc, "tmo")
                if exc == "inst"
                else {"Boom": Boom, "BaseBoom": BaseBoom}[exc]
            )
        )
        t = self.ev.Timeout(self.t(d), e)
        try:
            with t:
                self.stmts(who, body)
                return "in time"
            return "silenced"
        except self.ev.Timeout as x:
            if x is t:
                return f"own timeout {x}"
            raise

    def do_with_timeout(self, who, d, value, body):
        kw = {} if value is None else {"timeout_value": value}
        return self.ev.with_timeout(self.t(d), self.stmts, who, body, **kw)

    def do_try(self, who, body, catch, final):
        kinds = {
            "GreenletExit": self.gl.GreenletExit,
            "Timeout": self.ev.Timeout,
            "Boom": Boom,
            "all": BaseException,
            "none": (),
        }[catch]
        try:
            self.stmts(who, body)
        except (Ret, Stop):
            raise
        except kinds as e:
            self.log(who, "caught", self.fmt(e))
        finally:
            self.stmts(who, final)
