"""Promises of `eventlet.event`."""

from __future__ import annotations

import gc
import threading
import weakref

import pytest

import eventlet
from eventlet import event
from eventlet.event import Event


def test_event_gives_waiters_and_latecomers_what_was_sent():
    sent = Event()
    waiting = eventlet.spawn(sent.wait)
    eventlet.sleep(0)
    value = object()
    sent.send(value)
    assert waiting.wait() is value
    assert sent.wait() is value


def test_event_wakes_in_order_of_arrival():
    """Nobody runs before the sender gives way, and then the first comes first."""
    sent, order = Event(), []

    def wait(name):
        sent.wait()
        order.append(name)

    for name in "abcde":
        eventlet.spawn(wait, name)
    eventlet.sleep(0)
    sent.send()
    assert order == []
    eventlet.sleep(0)
    assert order == list("abcde")


def test_event_shows_in_repr_what_it_holds():
    sent = Event()
    assert "not sent" in repr(sent)
    sent.send("some value")
    assert "some value" in repr(sent)


@pytest.mark.parametrize("again", [{"result": 2}, {"exc": ValueError()}])
def test_event_refuses_to_be_sent_twice(again):
    sent = Event()
    sent.send(1)
    with pytest.raises(AssertionError, match="reset"):
        sent.send(**again)
    assert sent.wait() == 1


def test_event_can_be_sent_again_after_reset():
    sent = Event()
    with pytest.raises(AssertionError, match="nothing was sent"):
        sent.reset()
    sent.send(1)
    sent.reset()
    assert not sent.ready()
    sent.send(2)
    assert sent.wait() == 2


def test_event_gives_a_waiter_what_was_sent_to_it_despite_a_reset():
    """What the waiter gets was decided when it was woken, not when it runs."""
    sent = Event()
    waiting = eventlet.spawn(sent.wait)
    eventlet.sleep(0)
    sent.send("first")
    sent.reset()
    sent.send("second")
    assert waiting.wait() == "first"


@pytest.mark.parametrize(
    "sent",
    [
        KeyError("x"),
        KeyError,
        (KeyError, "x"),
        (KeyError, KeyError("x")),
        (KeyError, KeyError("x"), None),
    ],
    ids=["instance", "class", "type-value", "type-instance", "exc_info"],
)
def test_event_raises_what_was_sent(sent):
    failing = Event()
    waiting = eventlet.spawn(failing.wait)
    eventlet.sleep(0)
    failing.send(exc=sent)
    for wait in (waiting.wait, failing.wait, failing.poll, failing.poll_exception):
        with pytest.raises(KeyError):
            wait()


def test_event_raises_the_very_instance_for_everybody():
    failing, error = Event(), ValueError("one")
    waiting = eventlet.spawn(failing.wait)
    eventlet.sleep(0)
    failing.send_exception(error)
    for wait in (waiting.wait, failing.wait):
        with pytest.raises(ValueError, match="one") as raised:
            wait()
        assert raised.value is error


def test_event_refuses_to_send_what_nobody_can_raise():
    """The sender hears of its mistake; the event stays as it was."""
    for wrong in ("text", (), (1, 2)):
        failing = Event()
        with pytest.raises(TypeError, match="cannot raise"):
            failing.send(exc=wrong)
        assert not failing.ready()


def test_event_tells_values_from_exceptions():
    def state(of):
        return of.ready(), of.has_result(), of.has_exception()

    fresh, value, failing = Event(), Event(), Event()
    value.send(None)
    failing.send(exc=ValueError())
    assert state(fresh) == (False, False, False)
    assert state(value) == (True, True, False)
    assert state(failing) == (True, False, True)


def test_event_poll_never_waits():
    fresh, value = Event(), Event()
    value.send(5)
    assert fresh.poll() is None
    assert fresh.poll(notready=event.NOT_USED) is event.NOT_USED
    assert fresh.poll_result(1) == fresh.poll_exception(1) == 1
    assert value.poll() == value.poll_result() == 5
    assert value.poll_exception(6) == 6


def test_event_wait_returns_none_when_its_time_is_over():
    late = Event()
    assert late.wait(timeout=0.01) is None
    assert late._waiters == []


def test_event_wait_takes_what_was_sent_in_time():
    sent = Event()
    eventlet.spawn(sent.send, 1)
    assert sent.wait(timeout=30) == 1


def test_event_forgets_an_interrupted_waiter():
    """The others still get what is sent, in order."""
    sent, order = Event(), []

    def wait(name):
        sent.wait()
        order.append(name)

    green = {name: eventlet.spawn(wait, name) for name in "abc"}
    eventlet.sleep(0)
    green["b"].kill()
    assert sent._waiters == [green["a"], green["c"]]
    sent.send()
    green["a"].kill()
    eventlet.sleep(0)
    assert order == ["c"]


def test_event_timeout_raised_in_a_wait_leaves_the_event_usable():
    sent = Event()
    with eventlet.Timeout(0.01, False):
        sent.wait()
    assert sent._waiters == []
    eventlet.spawn(sent.send, 1)
    assert sent.wait() == 1


def test_event_constructors_of_exceptions_may_use_the_event():
    """A class is instantiated while waiters are woken: that is arbitrary code."""
    failing = Event()

    class Meddling(Exception):
        def __init__(self):
            if failing.ready():
                failing.reset()

    waiting = [eventlet.spawn(failing.wait) for _ in range(3)]
    eventlet.sleep(0)
    failing.send(exc=Meddling)
    for green in waiting:
        with pytest.raises(Meddling):
            green.wait()
    assert not failing.ready()


def test_event_sent_by_another_os_thread_wakes_at_once():
    sent, parked = Event(), threading.Event()

    def send():
        assert parked.wait(30)
        sent.send("from afar")

    thread = threading.Thread(target=send)
    thread.start()
    eventlet.spawn(parked.set)
    assert sent.wait(timeout=30) == "from afar"
    thread.join()


def test_event_wakes_a_waiter_in_its_own_os_thread():
    sent, parked, seen = Event(), threading.Event(), []

    def wait():
        eventlet.spawn(parked.set)
        seen.append((sent.wait(timeout=30), threading.get_ident()))

    thread = threading.Thread(target=wait)
    thread.start()
    assert parked.wait(30)
    sent.send(1)
    ident = thread.ident
    thread.join()
    assert seen == [(1, ident)]


def test_event_can_be_subclassed_and_carries_attributes():
    class Named(Event):
        def __init__(self, name):
            super().__init__()
            self.name = name

    named = Named("x")
    named.send(1)
    assert (named.name, named.wait()) == ("x", 1)
    plain = Event()
    plain.anything = 1
    assert plain.anything == 1


def test_event_in_a_cycle_is_collected():
    sent = Event()
    sent.send([sent])
    sent.itself = sent
    gone = weakref.ref(sent)
    del sent
    gc.collect()
    assert gone() is None
