"""Greenlets beneath green threads: the raw API mixed with the hub."""

from __future__ import annotations

import sys
import weakref

import pytest

import eventlet
import greenlet
from eventlet import hubs


def test_values_travel_with_switches():
    """Arguments of a switch are what the other side's switch returns."""
    main = greenlet.getcurrent()
    seen = []

    def body(*args, **kwargs):
        seen.append((args, kwargs))
        seen.append(main.switch(1))
        seen.append(main.switch(2, 3))
        return "end"

    green = greenlet.greenlet(body)
    seen.append(green.switch("a", key="b"))
    seen.append(green.switch())
    seen.append(green.switch("c"))
    assert green.dead
    assert seen == [(("a",), {"key": "b"}), 1, (), (2, 3), "c", "end"]


def test_error_of_a_greenlet_reaches_its_parent():
    """An exception goes to the parent, not to who happened to switch."""
    main = greenlet.getcurrent()
    log = []

    def parent():
        try:
            main.switch()
        except KeyError as error:
            log.append(("parent", error.args))

    def child():
        raise KeyError("child")

    above = greenlet.greenlet(parent)
    above.switch()
    below = greenlet.greenlet(child, parent=above)
    below.switch()
    assert log == [("parent", ("child",))]
    assert above.dead
    assert below.dead


def test_raw_greenlet_may_wait_for_the_hub():
    """A raw greenlet that sleeps is resumed by the hub and ends there."""
    log = []

    def body():
        log.append("in")
        eventlet.sleep(0)
        log.append("out")

    raw = greenlet.greenlet(body)
    hubs.get_hub().schedule_call_global(0, raw.switch)
    eventlet.sleep(0.001)
    while not raw.dead:
        eventlet.sleep(0)
    assert log == ["in", "out"]


def test_throw_into_a_parked_green_thread_voids_its_wake_up():
    """What would have woken it later finds it gone on, and is dropped."""
    log = []

    def body():
        try:
            eventlet.sleep(0.001)
        except KeyError:
            log.append("thrown")
        eventlet.sleep(0.01)
        log.append("slept")

    green = eventlet.spawn(body)
    eventlet.sleep(0)
    hubs.get_hub().schedule_call_global(0, green.throw, KeyError)
    green.wait()
    assert log == ["thrown", "slept"]


def test_switching_into_the_hub_parks():
    """hub.switch() waits until somebody switches back; what was sent is returned."""
    green = eventlet.spawn(hubs.get_hub().switch)
    eventlet.sleep(0)
    hubs.get_hub().schedule_call_global(0, green.switch, "sent")
    assert green.wait() == "sent"


def test_error_thrown_into_the_hub_reaches_main_and_the_hub_goes_on():
    """A dead hub greenlet is replaced at the next wait."""
    former = hubs.get_hub().greenlet
    other = eventlet.spawn_after(0.02, str, "done")
    green = eventlet.spawn(former.throw, ValueError("into the hub"))
    with pytest.raises(ValueError, match="into the hub"):
        eventlet.sleep(1)
    assert former.dead
    assert other.wait() == "done"
    assert hubs.get_hub().greenlet is not former
    green.kill()


def test_dead_parents_hand_on():
    """A result goes to the nearest living ancestor."""
    dead = greenlet.greenlet(int)
    child = greenlet.greenlet(lambda: "value", parent=dead)
    dead.switch()
    assert child.switch() == "value"


def test_cyclic_parents_are_refused():
    """A greenlet cannot become its own ancestor."""
    one = greenlet.greenlet(int)
    two = greenlet.greenlet(int, parent=one)
    with pytest.raises(ValueError, match="cyclic"):
        one.parent = two


def test_a_long_chain_of_parents_is_freed():
    """Giving up a chain of many greenlets needs no deep C stack."""
    link = greenlet.getcurrent()
    references = []
    for _ in range(5_000):
        link = greenlet.greenlet(parent=link)
        references.append(weakref.ref(link))
    del link
    # Those that are too deep in the chain are given up in the next turns.
    eventlet.spawn(lambda: None).wait()
    assert [it for it in references if it() is not None] == []


def test_the_extension_module_has_what_the_package_has():
    """Profilers take greenlet's functions from its extension module, as memray does."""
    private = sys.modules["greenlet._greenlet"]
    for name in greenlet.__all__:
        if name != "__version__":
            assert getattr(private, name) is getattr(greenlet, name), name
    seen = []
    former = private.settrace(lambda *args: seen.append(args))
    try:
        child = greenlet.greenlet(int)
        child.switch()
    finally:
        private.settrace(former)
    main = greenlet.getcurrent()
    assert seen == [("switch", (main, child)), ("switch", (child, main))]
