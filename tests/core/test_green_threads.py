"""Green threads: order, outcomes, kill, cancel, links."""

from __future__ import annotations

import gc
import weakref

import pytest

import eventlet
import greenlet
from eventlet import greenthread, hubs
from eventlet.greenthread import GreenThread


class Boom(Exception):
    """What green threads are killed with here."""


def test_spawned_green_threads_start_in_order():
    """spawn, spawn_n and due spawn_after share one queue, first in, first out."""
    log = []
    for number in range(4):
        eventlet.spawn(log.append, number * 2)
        eventlet.spawn_n(log.append, number * 2 + 1)
    assert log == []
    eventlet.sleep(0)
    assert log == list(range(8))


def test_yield_goes_behind_all_that_is_ready():
    """sleep(0) lets every other ready green thread run once."""
    log = []

    def body(name):
        for _ in range(3):
            log.append(name)
            eventlet.sleep(0)

    greens = [eventlet.spawn(body, name) for name in "abc"]
    for green in greens:
        green.wait()
    assert log == list("abc" * 3)


def test_outcome_is_kept_for_all_who_wait():
    """A value or an exception is the same for each waiter, early or late."""
    value, error = [1], Boom("mine")

    def give():
        eventlet.sleep(0)
        return value

    def fail():
        eventlet.sleep(0)
        raise error

    giving, failing = eventlet.spawn(give), eventlet.spawn(fail)
    early = [eventlet.spawn(giving.wait) for _ in range(2)]
    assert giving.wait() is value
    assert [green.wait() for green in early] == [value, value]
    assert giving.wait() is value
    for _ in range(2):
        with pytest.raises(Boom) as caught:
            failing.wait()
        assert caught.value is error


def test_waiters_are_woken_in_order_of_arrival():
    """Who waited first runs first when the outcome is there."""
    log = []
    target = eventlet.spawn(eventlet.sleep, 0.001)

    def wait(number):
        target.wait()
        log.append(number)

    greens = [eventlet.spawn(wait, number) for number in range(5)]
    for green in greens:
        green.wait()
    assert log == list(range(5))


def test_waiting_for_oneself_is_refused():
    """It would never end."""

    def body():
        greenlet.getcurrent().wait()

    with pytest.raises(RuntimeError, match="itself"):
        eventlet.spawn(body).wait()


@pytest.mark.parametrize(
    ("throw", "expected"),
    [
        ((), greenlet.GreenletExit),
        ((Boom,), Boom),
        ((Boom("mine"),), Boom),
        ((Boom, Boom("mine")), Boom),
        ((Boom, "mine"), Boom),
        ((Boom, Boom("mine"), None), Boom),
    ],
)
@pytest.mark.parametrize("start", ["spawn", "spawn_after"])
def test_kill_before_the_start(throw, expected, start):
    """The function never runs, wait() raises, links run once, the killer is unaffected."""
    log = []
    if start == "spawn":
        green = eventlet.spawn(log.append, "ran")
    else:
        green = eventlet.spawn_after(0.001, log.append, "ran")
    green.link(log.append)
    assert greenthread.kill(green, *throw) is None
    assert log == [green]
    with pytest.raises(expected):
        green.wait()
    eventlet.sleep(0.003)
    assert log == [green]
    assert green.dead


def test_kill_raises_at_the_switch_point_before_it_returns():
    """The cleanup of a suspended green thread is done when kill() returns."""
    log = []

    def body():
        try:
            eventlet.sleep(10)
        except Boom as error:
            log.append(error.args)
        finally:
            log.append("finally")

    green = eventlet.spawn(body)
    eventlet.sleep(0)
    green.kill(Boom("mine"))
    assert log == [("mine",), "finally"]
    assert green.wait() is None


def test_killer_yields_once():
    """What was ready runs before the killer goes on."""
    log = []
    victim = eventlet.spawn(eventlet.sleep, 10)
    eventlet.sleep(0)
    eventlet.spawn(log.append, "ready")
    victim.kill()
    log.append("killer")
    assert log == ["ready", "killer"]


def test_kill_after_the_end_changes_nothing():
    """The first outcome stays."""
    green = eventlet.spawn(str, "first")
    assert green.wait() == "first"
    green.kill()
    green.kill(Boom)
    assert green.wait() == "first"


def test_kill_of_oneself_raises_at_once():
    """In main and in green threads alike."""
    log = []

    def body():
        try:
            greenthread.kill(greenlet.getcurrent(), Boom)
        finally:
            log.append("at once")

    with pytest.raises(Boom):
        eventlet.spawn(body).wait()
    assert log == ["at once"]


def test_killed_green_thread_may_go_on():
    """One that catches the exception keeps its outcome to itself."""

    def stubborn():
        while True:
            try:
                eventlet.sleep(10)
            except greenlet.GreenletExit:
                return "stayed"

    green = eventlet.spawn(stubborn)
    eventlet.sleep(0)
    green.kill()
    assert green.wait() == "stayed"


def test_cleanup_of_a_killed_green_thread_may_block():
    """kill() returns; the cleanup ends later, and wait() waits for it."""
    log = []

    def body():
        try:
            eventlet.sleep(10)
        finally:
            eventlet.sleep(0.002)
            log.append("cleaned")

    green = eventlet.spawn(body)
    eventlet.sleep(0)
    green.kill()
    assert log == []
    with pytest.raises(greenlet.GreenletExit):
        green.wait()
    assert log == ["cleaned"]


def test_green_threads_may_kill_each_other():
    """Two that kill one another, and one that kills its killer's victim."""
    greens = {}
    log = []

    def body(name, other):
        try:
            eventlet.sleep(0)
            log.append(f"{name} kills")
            greens[other].kill()
            log.append(f"{name} killed")
        except greenlet.GreenletExit:
            log.append(f"{name} dies")

    greens["a"] = eventlet.spawn(body, "a", "b")
    greens["b"] = eventlet.spawn(body, "b", "a")
    for green in greens.values():
        green.wait()
    assert log == ["a kills", "b dies", "a killed"]


def test_cancel_only_concerns_the_unstarted():
    """A started green thread is left alone."""
    started = eventlet.spawn(eventlet.sleep, 0.001)
    fresh = eventlet.spawn(str, "ran")
    later = eventlet.spawn_after(0.001, str, "ran")
    started_first = eventlet.spawn_n
    assert started_first is eventlet.spawn_n
    fresh.cancel(Boom)
    later.cancel()
    with pytest.raises(Boom):
        fresh.wait()
    with pytest.raises(greenlet.GreenletExit):
        later.wait()
    eventlet.sleep(0)
    started.cancel()
    assert started.wait() is None


def test_exception_of_kill_is_checked():
    """What is no exception is refused, and nobody is killed."""
    green = eventlet.spawn(str, "ran")
    with pytest.raises(TypeError, match="exceptions must be classes, or instances"):
        green.kill("no exception")
    with pytest.raises(TypeError, match="separate value"):
        green.kill(Boom("one"), "two")
    with pytest.raises(TypeError, match="traceback"):
        green.kill(Boom, None, "no traceback")
    with pytest.raises(TypeError, match="at most"):
        green.kill(Boom, None, None, None)
    with pytest.raises(TypeError, match="greenlet"):
        greenthread.kill("no greenlet")
    assert green.wait() == "ran"


def test_links_are_called_once_in_order():
    """With the green thread and the curried arguments; late ones at once."""
    log = []

    def note(green, *args, **kwargs):
        log.append((green.wait(), args, kwargs))

    green = eventlet.spawn(str, "value")
    green.link(note, 1)
    green.link(note, 2, key=3)
    green.link(note, 4)
    assert green.unlink(note, 4)
    assert not green.unlink(note, 4)
    green.wait()
    green.link(note, 5)
    assert log == [
        ("value", (1,), {}),
        ("value", (2,), {"key": 3}),
        ("value", (5,), {}),
    ]


def test_link_that_fails_keeps_no_other_from_being_called(capsys):
    """Its error is printed."""
    log = []
    green = eventlet.spawn(str, "value")
    green.link(lambda _green: 1 // 0)
    green.link(log.append)
    green.wait()
    eventlet.sleep(0)
    assert log == [green]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_link_may_block_and_spawn():
    """Links run on the green thread's own stack."""
    log = []

    def link(_green):
        eventlet.sleep(0.001)
        log.append(eventlet.spawn(str, "spawned").wait())

    green = eventlet.spawn(str, "value")
    green.link(link)
    assert green.wait() == "value"
    with eventlet.Timeout(20):
        while not log:
            eventlet.sleep(0.001)
    assert log == ["spawned"]


def test_error_that_somebody_takes_is_not_printed(capsys):
    """Waiters, links and killers know of it; GreenletExit is never printed."""
    hub = hubs.get_hub()
    assert hub.debug_exceptions

    def fail():
        raise Boom

    waited = eventlet.spawn(fail)
    with pytest.raises(Boom):
        waited.wait()
    eventlet.spawn(fail).link(lambda _green: None)
    eventlet.spawn(fail).kill(Boom)
    eventlet.spawn(eventlet.sleep, 10).kill()
    quiet = eventlet.spawn(eventlet.sleep, 10)
    eventlet.sleep(0)
    quiet.kill()
    eventlet.sleep(0)
    assert capsys.readouterr().err == ""


def test_greenlet_exit_is_never_printed(capsys):
    """A green thread that ends by GreenletExit is no error, whoever raised it."""

    def leaves():
        raise greenlet.GreenletExit

    for start in (eventlet.spawn, eventlet.spawn_n):
        start(leaves)
        victim = start(eventlet.sleep, 60)
        eventlet.sleep(0)
        eventlet.kill(victim)
        eventlet.sleep(0)
    assert capsys.readouterr().err == ""


def test_finished_green_thread_frees_all_but_its_outcome():
    """Function, arguments and stack are gone although the object is kept."""

    class Thing:
        """Can be referred to weakly."""

    thing = Thing()
    reference = weakref.ref(thing)

    def body(argument):
        local = argument
        eventlet.sleep(0)
        return id(local)

    green = eventlet.spawn(body, thing)
    del thing
    green.wait()
    gc.collect()
    assert reference() is None


def test_outcome_is_freed_with_its_green_thread():
    """Nothing in the hub keeps a finished green thread that nobody knows any more."""

    class Thing:
        """Can be referred to weakly."""

    green = eventlet.spawn(Thing)
    reference = weakref.ref(green.wait())
    own = weakref.ref(green)
    assert reference() is not None
    del green
    assert own() is None
    assert reference() is None


def test_subclass_that_overrides_main_is_run_by_it():
    """Whoever makes a green thread by hand may wrap its function."""
    log = []

    class Noisy(GreenThread):
        def main(self, function, args, kwargs):
            log.append((function, args, kwargs))
            return super().main(function, args, kwargs)

    green = Noisy(hubs.get_hub().greenlet)
    hubs.get_hub().schedule_call_global(0, green.switch, str, ("a",), {})
    assert green.wait() == "a"
    assert log == [(str, ("a",), {})]


def test_green_thread_made_by_hand_needs_a_call():
    """The error says how it is started."""
    green = GreenThread(hubs.get_hub().greenlet)
    hubs.get_hub().schedule_call_global(0, green.switch)
    with pytest.raises(TypeError):
        green.wait()


def test_spawn_needs_a_function():
    """A missing or wrong function is an error at the call, or the outcome."""
    for spawn in (eventlet.spawn, eventlet.spawn_n):
        with pytest.raises(TypeError, match="function"):
            spawn()
    with pytest.raises(TypeError):
        eventlet.spawn_after()
    with pytest.raises(TypeError):
        eventlet.spawn_after("soon", int)
    with pytest.raises(TypeError, match="not callable"):
        eventlet.spawn(5).wait()


def test_generator_exit_and_other_base_exceptions_are_outcomes():
    """Any exception but SystemExit and KeyboardInterrupt stays with its green thread."""

    class Odd(BaseException):
        """Neither Exception nor one of the system's."""

    def fail(error):
        raise error

    for error in (Odd(), GeneratorExit(), StopIteration(1), greenlet.GreenletExit()):
        with pytest.raises(type(error)) as caught:
            eventlet.spawn(fail, error).wait()
        assert caught.value is error


@pytest.mark.parametrize("spawn", [eventlet.spawn, eventlet.spawn_n])
def test_function_may_be_given_by_name(spawn):
    """The function to run may be given as ``func``, as upstream's signature has it."""
    got = []
    spawn(func=lambda **given: got.append(given), one=1, other=2)
    spawn(lambda **given: got.append(given), func=3)
    eventlet.sleep(0)
    assert got == [{"one": 1, "other": 2}, {"func": 3}]
    with pytest.raises(TypeError, match="missing argument"):
        spawn(one=1)


def test_delay_may_be_given_by_name():
    """So may the delay of ``spawn_after``."""
    by_name = eventlet.spawn_after(other=2, func=lambda *a, **k: (a, k), seconds=0)
    half = eventlet.spawn_after(0, func=lambda *a, **k: (a, k))
    assert by_name.wait() == ((), {"other": 2})
    assert half.wait() == ((), {})
    with pytest.raises(TypeError, match="missing argument"):
        eventlet.spawn_after(0)
