"""Giving up the last reference to a suspended green thread ends it and comes back."""

import gc

import eventlet
from eventlet import hubs

log = []


def wait(name, tail=None):
    try:
        hubs.get_hub().switch()
    finally:
        log.append(name)
        if tail is not None:
            tail()


def in_main(spawn, tail=None):
    log.clear()
    green = spawn(wait, "ended", tail)
    eventlet.sleep(0)
    # The turn in which it parked has let go of it.
    eventlet.sleep(0)
    del green
    log.append("back")
    return list(log)


def everywhere(spawn):
    assert in_main(spawn) == ["ended", "back"], log
    assert in_main(spawn, lambda: eventlet.sleep(0.01)) == ["ended", "back"]
    assert in_main(spawn, lambda: eventlet.spawn(int).wait()) == ["ended", "back"]
    # The dropper is a green thread, then a callback of the hub.
    assert eventlet.spawn(in_main, spawn).wait() == ["ended", "back"]
    log.clear()
    box = [spawn(wait, "ended")]
    eventlet.sleep(0)
    eventlet.sleep(0)
    hubs.get_hub().schedule_call_global(0, box.clear)
    eventlet.sleep(0.01)
    assert log == ["ended"]


everywhere(eventlet.spawn)
everywhere(eventlet.spawn_n)

# The collector drops it, in a cycle that the suspended stack is no part of.
log.clear()
box = [eventlet.spawn(wait, "ended")]
eventlet.sleep(0)
eventlet.sleep(0)
box.append(box)
del box
gc.collect()
assert log == ["ended"], log
print("pass")
