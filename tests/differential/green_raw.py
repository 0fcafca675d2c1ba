"""Statements about greenlets without a hub."""

from __future__ import annotations


class RawStatements:
    """What the generator chooses from."""

    def op_gswitch(self):
        return ["gswitch", self.slot(), self.value()]

    def op_gthrow(self):
        return ["gthrow", self.slot(), self.exc()]

    def op_gparent(self):
        return ["gparent", self.value()]

    def op_gstate(self):
        return ["gstate", self.slot()]

    def op_gsetparent(self):
        return ["gsetparent", self.slot(), self.slot()]

    def op_gdel(self):
        return ["gdel", self.slot()]


class RawActions:
    """What the machine does."""

    def do_g_new(self, who, slot, name, parent):
        f = self.body(name)
        if parent == "main":
            g = self.gl.greenlet(f, self.main_greenlet)
        elif parent == "last" and isinstance(self.last, self.gl.greenlet):
            g = self.gl.greenlet(f, self.last)
        else:
            g = self.gl.greenlet(f)
        g.nm = name
        self.slots[slot] = g
        self.last = g

    def do_gswitch(self, who, slot, v):
        g = self.slots.get(slot)
        return g.switch(v) if g is not None else "none"

    def do_gthrow(self, who, slot, exc):
        g = self.slots.get(slot)
        return g.throw(self.exception(exc, "thrown")) if g is not None else "none"

    def do_gparent(self, who, v):
        p = self.gl.getcurrent().parent
        if p is None or p is self.hubs.get_hub().greenlet:
            return "none"
        return p.switch(v)

    def do_gstate(self, who, slot):
        g = self.slots.get(slot)
        if g is None:
            return "none"
        p = g.parent
        return [
            bool(g),
            g.dead,
            getattr(p, "nm", None),
            g is self.gl.getcurrent(),
            g.gr_frame is not None,
        ]

    def do_gsetparent(self, who, a, b):
        a, b = self.slots.get(a), self.slots.get(b)
        if a is None or b is None:
            return "none"
        a.parent = b
        return None

    def do_gdel(self, who, slot):
        self.last = None
        self.slots.pop(slot, None)
