"""Statements about sockets, pipes and OS threads that do work."""

from __future__ import annotations

import contextlib

from known import is_excused


class SocketStatements:
    """What the generator chooses from."""

    def op_send(self):
        return [
            "send",
            self.pick("K"),
            self.r.randint(0, 1),
            self.r.choice([1, 3, 10, 1]),
        ]

    def op_sendall(self):
        return [
            "sendall",
            self.pick("K"),
            self.r.randint(0, 1),
            self.r.choice([1, 400000, 100]),
        ]

    def op_recv(self):
        return [
            "recv",
            self.pick("K"),
            self.r.randint(0, 1),
            self.r.choice([1, 4, 100, 300000]),
        ]

    def op_sclose(self):
        return ["sclose", self.pick("K"), self.r.randint(0, 1)]

    def op_shut(self):
        return ["shut", self.pick("K"), self.r.randint(0, 1), self.r.randint(0, 2)]

    def op_stmo(self):
        return [
            "stmo",
            self.pick("K"),
            self.r.randint(0, 1),
            self.r.choice([None, 0, self.d(), self.d()]),
        ]

    def op_tpool(self):
        return [
            "tpool",
            self.r.choice([0, self.d()]),
            self.r.choice([None, None, "Boom", "KeyError"]),
        ]

    def op_trampoline(self):
        return [
            "trampoline",
            self.pick("K"),
            self.r.randint(0, 1),
            self.r.choice(["read", "write"]),
            self.d(),
        ]


class SocketActions:
    """What the machine does."""

    def side(self, k, side, what):
        """Return a socket; a pipe has one end for each direction."""
        if self.p["objs"][k][0] == "pipe":
            side = 1 if what == "write" else 0
        return self.o[k][side]

    def do_send(self, who, k, side, n):
        s = self.side(k, side, "write")
        return s.send(b"x" * n) if hasattr(s, "send") else s.write(b"x" * n)

    def do_sendall(self, who, k, side, n):
        s = self.side(k, side, "write")
        with self.ev.Timeout(self.t(5.123), False), self.using(s):
            return (
                s.sendall(b"x" * n)
                if hasattr(s, "send")
                else s.write(b"x" * min(n, 100))
            )
        return "timed out"

    def do_recv(self, who, k, side, n):
        s = self.side(k, side, "read")
        with self.ev.Timeout(self.t(7.321), False), self.using(s):
            return s.recv(n) if hasattr(s, "recv") else s.read(n)
        return "timed out"

    @contextlib.contextmanager
    def using(self, s):
        self.busy[id(s)] += 1
        try:
            yield
        finally:
            self.busy[id(s)] -= 1

    def do_sclose(self, who, k, side):
        if not is_excused("closing-wakes"):
            return self.o[k][side].close()
        if self.busy[id(self.o[k][side])] or self.busy[id(self.o[k][1 - side])]:
            self.stay_open.add((k, side))
        if (k, side) in self.stay_open:
            return "in use"
        return self.o[k][side].close()

    def do_shut(self, who, k, side, how):
        s = self.o[k][side]
        return s.shutdown(how) if hasattr(s, "shutdown") else "none"

    def do_stmo(self, who, k, side, d):
        s = self.o[k][side]
        return s.settimeout(self.t(d)) if hasattr(s, "settimeout") else "none"

    def do_tpool(self, who, d, exc):
        from eventlet import tpool

        def work():
            self.clock.sleep(self.t(d))
            if exc:
                raise self.exception(exc, "tpool")
            return "worked"

        with self.clock.job(work) as job:
            return tpool.execute(job)

    def do_trampoline(self, who, k, side, what, d):
        s = self.side(k, side, what)
        try:
            with self.using(s):
                self.hubs.trampoline(s, **{what: True}, timeout=self.t(d))
            return "ready"
        except self.ev.Timeout:
            return "timed out"
