"""What the garbage collector makes of greenlets and of what refers to them."""

from __future__ import annotations

import gc
import weakref

import pytest

import greenlet


class Holder:
    """An object that can be referred to weakly."""


def in_dict(green):
    """Put the greenlet into a dict that has held nothing else."""
    table = {}
    table["green"] = green
    return table


def in_attribute(green):
    """Make the greenlet an object's only attribute."""
    holder = Holder()
    holder.green = green
    return holder


def in_tuple(green):
    """Put the greenlet into a tuple that has been through a collection."""
    pair = (green, 1)
    for _ in range(3):
        gc.collect()
    return pair


@pytest.mark.parametrize("wrap", [in_dict, in_attribute, in_tuple])
def test_cycle_made_while_the_greenlet_ran_is_collected_after_its_end(wrap):
    """A container that was filled with an active greenlet stays in the collector's sight."""

    def run():
        current = greenlet.getcurrent()
        current.keeps = wrap(current)

    green = greenlet.greenlet(run)
    dying = weakref.ref(green)
    green.switch()
    assert green.dead
    del green
    gc.collect()
    assert dying() is None


def test_suspended_greenlet_in_a_cycle_survives_collections():
    """Its stack may hold references that no collector sees, so it is never garbage."""
    left = []

    def run():
        current = greenlet.getcurrent()
        current.keeps = {"green": current}
        try:
            parent.switch()
        finally:
            left.append("ended")

    parent = greenlet.getcurrent()
    green = greenlet.greenlet(run)
    green.switch()
    remembered = weakref.ref(green)
    del green
    for generation in (0, 1, 2, 2):
        gc.collect(generation)
    assert left == []
    remembered().switch()
    assert left == ["ended"]


def test_suspended_greenlet_is_tracked_and_shows_its_referents():
    """Tools that look for what keeps an object alive see through greenlets."""
    seen = Holder()

    def run():
        greenlet.getcurrent().keeps = seen
        parent.switch()

    parent = greenlet.getcurrent()
    green = greenlet.greenlet(run)
    green.switch()
    assert gc.is_tracked(green)
    assert green.__dict__ in gc.get_referents(green)
    green.switch()
