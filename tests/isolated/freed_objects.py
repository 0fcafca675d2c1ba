"""Objects given up inside a green thread are freed there and then, cyclic ones by gc."""

import gc
import weakref

import eventlet


class Thing:
    """Can be referred to weakly, and is tracked by the collector."""


def drop_all():
    things = [Thing() for _ in range(1000)]
    references = [weakref.ref(thing) for thing in things]
    del things
    at_once = sum(reference() is None for reference in references)
    nested = ()
    for _ in range(200_000):
        nested = (nested, Thing())
    last = weakref.ref(nested[1])
    del nested
    cyclic = [Thing() for _ in range(1000)]
    for thing in cyclic:
        thing.me = thing
    references = [weakref.ref(thing) for thing in cyclic]
    del thing, cyclic
    gc.collect()
    collected = sum(reference() is None for reference in references)
    return at_once, last() is None, collected


gc.disable()
main = drop_all()
assert main == (1000, True, 1000), main
for _ in range(3):
    green = eventlet.spawn(drop_all).wait()
    assert green == main, green
count = len(gc.get_objects())
for _ in range(5):
    eventlet.spawn(drop_all).wait()
assert len(gc.get_objects()) - count < 20
print("pass")
