"""Promises of `eventlet.timeout`."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

import eventlet
from eventlet import hubs
from eventlet.timeout import Timeout, is_timeout, with_timeout, wrap_is_timeout


class Special(Exception):
    """What a test has a timeout raise."""


def test_timeout_raises_itself_in_the_green_thread_that_started_it():
    bystander = eventlet.spawn(eventlet.sleep, 0.02)
    with pytest.raises(Timeout) as raised, Timeout(0.01) as timeout:
        eventlet.sleep(30)
    assert raised.value is timeout
    assert not timeout.pending
    assert bystander.wait() is None


@pytest.mark.parametrize("exception", [None, True])
def test_timeout_raises_itself_unless_told_otherwise(exception):
    with pytest.raises(Timeout) as raised, Timeout(0, exception) as timeout:
        eventlet.sleep(30)
    assert raised.value is timeout


@pytest.mark.parametrize(
    "exception", [Special, Special("why")], ids=["class", "instance"]
)
def test_timeout_raises_what_it_was_given(exception):
    with pytest.raises(Special), Timeout(0, exception):
        eventlet.sleep(30)


def test_timeout_tells_that_it_cannot_raise_what_is_no_exception():
    with pytest.raises(TypeError, match="cannot raise 'text'"), Timeout(0, "text"):
        eventlet.sleep(30)


def test_timeout_that_is_silent_ends_its_block():
    with Timeout(0, False) as timeout:
        eventlet.sleep(30)
        pytest.fail("the block went on")
    assert not timeout.pending


def test_timeout_that_is_silent_swallows_only_itself():
    with pytest.raises(Timeout) as raised, Timeout(0) as other, Timeout(30, False):
        eventlet.sleep(30)
    assert raised.value is other


def test_timeout_cancelled_never_fires_and_leaves_nothing_in_the_hub():
    eventlet.sleep(0)
    hub = hubs.get_hub()
    before = hub.get_timers_count()
    with Timeout(30) as timeout:
        assert timeout.pending
        assert hub.get_timers_count() == before + 1
    assert not timeout.pending
    assert hub.get_timers_count() == before


def test_timeout_cancelled_when_it_is_due_already_does_not_fire():
    """Due, but its green thread ran first and cancelled it."""
    timeout, log = Timeout(0), []
    timeout.cancel()
    try:
        eventlet.sleep(0)
        log.append("not interrupted")
    except Timeout:
        log.append("fired")
    assert (log, timeout.pending) == (["not interrupted"], False)


def test_timeout_started_again_is_not_fired_by_its_former_life():
    timeout = Timeout(0)
    timeout.cancel()
    timeout.seconds = 30
    timeout.start()
    eventlet.sleep(0)
    assert timeout.pending
    timeout.cancel()


def test_timeout_refuses_to_be_started_twice():
    with Timeout(30) as timeout, pytest.raises(AssertionError, match="pending"):
        timeout.start()


def test_timeout_without_seconds_never_fires():
    with Timeout(None) as timeout:
        assert not timeout.pending
        eventlet.sleep(0)
    with pytest.raises(Timeout):
        raise timeout


def test_timeout_entered_while_pending_is_not_started_anew():
    timeout = Timeout(30)
    with timeout as entered:
        assert entered is timeout
    assert not timeout.pending


@pytest.mark.parametrize("seconds", ["1", object()])
def test_timeout_refuses_seconds_that_are_no_number(seconds):
    with pytest.raises(TypeError):
        Timeout(seconds)


def test_timeout_refuses_seconds_that_are_nan():
    with pytest.raises(ValueError, match="NaN"):
        Timeout(float("nan"))


def test_timeouts_with_equal_deadlines_fire_in_order_of_creation():
    fired = []

    def wait(name):
        try:
            with Timeout(0):
                eventlet.sleep(30)
        except Timeout:
            fired.append(name)

    for green in [eventlet.spawn(wait, name) for name in "abc"]:
        green.wait()
    assert fired == ["a", "b", "c"]


def test_timeout_precedes_what_becomes_ready_after_it():
    """Without delay it stands in the queue of what is ready, where it was started."""
    sent = eventlet.Event()
    with Timeout(0, False):
        sent_later = eventlet.spawn(sent.send)
        sent.wait()
        pytest.fail("woken before the timeout")
    sent_later.wait()


def test_timeout_of_an_ended_green_thread_does_nothing():
    timeouts = []
    eventlet.spawn(lambda: timeouts.append(Timeout(0))).wait()
    eventlet.sleep(0)
    assert not timeouts[0].pending


def test_timeout_of_the_outer_block_cancels_the_inner_one():
    with Timeout(0) as outer, pytest.raises(Timeout) as raised, Timeout(30) as inner:
        eventlet.sleep(30)
    assert raised.value is outer
    assert not inner.pending


@pytest.mark.parametrize(
    ("timeout", "text"),
    [
        (Timeout(), ""),
        (Timeout(None, Special), ""),
    ],
    ids=["plain", "with exception"],
)
def test_timeout_without_seconds_has_no_text(timeout, text):
    assert str(timeout) == text


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1,), "1 second"),
        ((0.1,), "0.1 seconds"),
        ((2, False), "2 seconds (silent)"),
        ((2, "reason"), "2 seconds (reason)"),
    ],
)
def test_timeout_text_tells_how_long_it_was(arguments, text):
    timeout = Timeout(*arguments)
    timeout.cancel()
    assert str(timeout) == text


def test_timeout_repr_tells_whether_it_is_pending():
    timeout = Timeout(30, Special)
    assert all(word in repr(timeout) for word in ("pending", "seconds=30", "Special"))
    timeout.cancel()
    assert "pending" not in repr(timeout)


def test_timeout_subclass_has_its_own_constructor_and_methods():
    calls = []

    class Named(Timeout):
        def __init__(self, name, seconds):
            self.name = name
            super().__init__(seconds)

        def start(self):
            calls.append("start")
            super().start()

        def cancel(self):
            calls.append("cancel")
            super().cancel()

    with pytest.raises(Named) as raised, Named("x", 0):
        eventlet.sleep(30)
    assert raised.value.name == "x"
    assert calls == ["start", "cancel"]


def test_timeout_is_no_exception_that_is_caught_by_mistake():
    assert issubclass(Timeout, BaseException)
    assert not issubclass(Timeout, Exception)
    assert Timeout.__module__ == "eventlet.timeout"


def test_timeout_holds_its_green_thread_only_while_pending():
    timeouts = []

    def body():
        timeout = Timeout(30)
        timeouts.append(timeout)
        timeout.cancel()

    green = eventlet.spawn(body)
    green.wait()
    gone = weakref.ref(green)
    del green
    # The hub lets go of who has ended in its next turn.
    eventlet.sleep(0)
    assert gone() is None


def test_timeout_that_fired_leaves_no_cycle():
    """Its exception goes with the block, without the collector's help."""
    error = Special()
    gone = weakref.ref(error)
    gc.disable()
    try:
        with Timeout(30, error):
            eventlet.sleep(0)
        del error
        assert gone() is None
    finally:
        gc.enable()


def test_timeout_with_a_cycle_is_collected():
    timeout = Timeout(None)
    timeout.exception = error = Special()
    error.timeout = timeout
    gone = weakref.ref(error)
    del timeout, error
    gc.collect()
    assert gone() is None


def test_timeout_cancelled_by_another_os_thread_does_not_fire():
    with Timeout(0.05) as timeout:
        thread = threading.Thread(target=timeout.cancel)
        thread.start()
        thread.join()
        assert not timeout.pending
        eventlet.sleep(0.06)


def test_timeouts_by_the_thousand_are_cancelled_in_any_order():
    eventlet.sleep(0)
    hub = hubs.get_hub()
    before = hub.get_timers_count()
    timeouts = [Timeout(30 + i % 7) for i in range(1000)]
    for timeout in timeouts[::2] + timeouts[1::2]:
        timeout.cancel()
    assert hub.get_timers_count() - hub.timers_canceled <= before


def test_with_timeout_returns_what_the_function_returns():
    assert with_timeout(30, lambda a, *, b: (a, b), 1, b=2) == (1, 2)


def test_with_timeout_returns_the_value_asked_for():
    missing = object()
    assert with_timeout(0, eventlet.sleep, 30, timeout_value=missing) is missing


def test_with_timeout_raises_without_a_value():
    with pytest.raises(Timeout):
        with_timeout(0, eventlet.sleep, 30)


def test_with_timeout_leaves_other_timeouts_alone():
    with pytest.raises(Timeout) as raised, Timeout(0) as outer:
        with_timeout(30, eventlet.sleep, 30, timeout_value=1)
    assert raised.value is outer


def test_is_timeout_knows_timeouts_of_all_kinds():
    assert is_timeout(Timeout())
    assert is_timeout(TimeoutError())
    assert not is_timeout(OSError())
    assert not is_timeout(None)


def test_wrap_is_timeout_marks_a_class():
    class Slow(Exception):
        pass

    assert wrap_is_timeout(Slow) is Slow
    assert is_timeout(Slow())


def test_wrap_is_timeout_marks_what_a_function_returns():
    @wrap_is_timeout
    def slow():
        return Special()

    assert is_timeout(slow())
    assert slow.__name__ == "slow"


def test_timeout_left_in_the_moment_it_is_due_is_let_go_at_once():
    """Also where sleep and timeout are late together, since the process was busy."""
    error = Special()
    alive = weakref.ref(error)
    busy = eventlet.spawn(time.sleep, 0.03)
    with Timeout(0.01, error):
        eventlet.sleep(0.005)
    assert busy.dead
    del error
    assert alive() is None
    with Timeout(0, Special()) as none_left:
        pass
    eventlet.sleep(0)
    assert not none_left.pending
