"""Kills, links and waits of no time: who runs when, and where exceptions go."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import eventlet
import greenlet
from eventlet import hubs
from eventlet.event import Event
from eventlet.hubs import trampoline
from greenlet import GreenletExit


class Boom(Exception):
    """What goes wrong here."""


def boom(*_):
    raise Boom


@pytest.fixture
def log():
    """Give a list to which the green thread of the fixture `other` adds."""
    return []


@pytest.fixture
def other(log):
    """Spawn a green thread that notes each of its turns."""

    def turns():
        for number in range(3):
            log.append(number)
            eventlet.sleep(0)

    return lambda: eventlet.spawn(turns)


@pytest.fixture
def finished():
    """Give a green thread that has ended."""
    green = eventlet.spawn(int)
    green.wait()
    return green


ENDS = {
    "kill": lambda green: green.kill(),
    "kill with an exception": lambda green: green.kill(Boom()),
    "the function": eventlet.kill,
    "cancel": lambda green: green.cancel(),
}


@pytest.mark.parametrize("end", ENDS)
def test_kill_of_an_unstarted_one_lets_others_run_once(end, log, other):
    """Its links run before."""
    other()
    green = eventlet.spawn(log.append, "never")
    green.link(lambda _: log.append("link"))
    ENDS[end](green)
    assert log == ["link", 0]
    assert green.dead


@pytest.mark.parametrize("make", [eventlet.spawn_n, eventlet.spawn])
def test_kill_of_an_unstarted_one_yields_in_a_green_thread(make, log, other):
    green = None

    def killer():
        eventlet.kill(green)
        log.append("killer")

    eventlet.spawn(killer)
    other()
    green = make(log.append, "never")
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert log == [0, "killer", 1]


def test_cancel_of_a_pending_start_yields(log, other):
    other()
    later = eventlet.spawn_after(60, log.append, "never")
    later.cancel()
    assert log == [0]


def test_killer_of_an_unstarted_one_may_be_interrupted(log):
    green = eventlet.spawn(log.append, "never")
    with eventlet.Timeout(0, False):
        green.kill()
        log.append("went on")
    assert log == []
    assert green.dead


def test_kill_in_a_callback_of_the_hub_returns_before_others_run(log, other):
    """As soon as the killed one has ended, or waits again."""

    def ends():
        try:
            eventlet.sleep(60)
        finally:
            log.append("killed")

    def cleans_up():
        try:
            ends()
        finally:
            eventlet.sleep(0)
            log.append("cleaned up")

    def callback():
        for green in greens:
            eventlet.kill(green)
        log.append("callback")

    greens = [eventlet.spawn(ends), eventlet.spawn(cleans_up)]
    eventlet.sleep(0)
    greens.append(eventlet.spawn_after(60, log.append, "never"))
    hubs.get_hub().schedule_call_global(0, callback)
    other()
    eventlet.sleep(0)
    eventlet.sleep(0)
    assert log == ["killed", "killed", "callback", 0, "cleaned up", 1]


def test_kill_of_the_one_who_waits_in_a_callback_returns(log):
    """Also that of main."""
    main = eventlet.getcurrent()

    def callback():
        eventlet.kill(main, Boom("mine"))
        log.append("callback")

    hubs.get_hub().schedule_call_global(0, callback)
    with pytest.raises(Boom, match="mine"):
        eventlet.sleep(60)
    eventlet.sleep(0)
    assert log == ["callback"]


def test_error_of_a_link_reaches_whoever_links_a_finished_one(finished, capsys):
    for error in (Boom, GreenletExit, SystemExit, KeyboardInterrupt):

        def link(_, error=error):
            raise error

        with pytest.raises(error):
            finished.link(link)
    assert capsys.readouterr().err == ""


def test_timeout_in_a_link_reaches_whoever_links_a_finished_one(finished):
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        finished.link(lambda _: eventlet.sleep(60))


def test_kill_in_a_link_to_a_finished_one_kills(finished, log):
    def victim():
        finished.link(lambda _: eventlet.sleep(60))
        log.append("went on")

    green = eventlet.spawn(victim)
    eventlet.sleep(0)
    green.kill()
    with pytest.raises(GreenletExit):
        green.wait()
    assert log == []


def test_link_that_a_link_adds_comes_last(log):
    def first(green):
        green.link(lambda _: log.append(3))
        log.append(1)

    green = eventlet.spawn(int)
    green.link(first)
    green.link(lambda _: log.append(2))
    green.wait()
    assert log == [1, 2, 3]


def test_link_that_a_failing_link_adds_is_called(finished, log):
    def link(green):
        green.link(lambda _: log.append("added"))
        raise Boom

    with pytest.raises(Boom):
        finished.link(link)
    assert log == ["added"]


def test_link_may_unlink_a_later_one(log):
    def second(_):
        log.append(2)

    green = eventlet.spawn(int)
    green.link(lambda it: log.append(it.unlink(second)))
    green.link(second)
    green.wait()
    assert log == [True]


def test_link_that_ends_the_program_does_so(log):
    """After the others have been called."""
    green = eventlet.spawn(int)

    def link(_):
        raise SystemExit(3)

    green.link(link)
    green.link(lambda _: log.append("other"))
    with pytest.raises(SystemExit):
        eventlet.sleep(0.01)
    assert log == ["other"]
    assert green.wait() == 0


def test_kill_in_a_link_is_not_printed(capsys, log):
    def link(_):
        log.append("link")
        eventlet.sleep(60)

    green = eventlet.spawn(int)
    green.link(link)
    green.link(lambda _: log.append("other"))
    eventlet.sleep(0)
    green.kill()
    assert log == ["link", "other"]
    assert green.wait() == 0
    assert capsys.readouterr().err == ""


def test_event_wait_of_no_time_takes_one_turn(log, other):
    """What is sent in that turn comes too late."""
    event = Event()
    other()
    assert event.wait(timeout=0) is None
    assert log == [0]
    eventlet.spawn(event.send, "sent")
    assert event.wait(timeout=0) is None
    assert event.wait(timeout=0) == "sent"
    assert event._waiters == []


def test_event_waits_of_no_time_do_not_starve_timers():
    event = Event()
    eventlet.spawn_after(0.001, event.send, "sent")
    with eventlet.Timeout(30):
        while event.wait(0) is None:
            pass


@pytest.mark.parametrize("how", ["return", "raise", "throw before the start"])
def test_quiet_end_starts_an_unstarted_parent_without_arguments(how, log):
    def body():
        if how == "raise":
            raise GreenletExit("mine")
        return 5

    parent = greenlet.greenlet(lambda *args: log.append(args))
    child = greenlet.greenlet(body, parent)
    if how == "throw before the start":
        child.throw(GreenletExit("mine"))
    else:
        child.switch()
    assert log == [(5,) if how == "return" else ()]


def test_trampoline_returns_the_descriptor():
    reader, writer = os.pipe()
    try:
        os.write(writer, b"x")
        assert trampoline(reader, read=True) == reader
        assert trampoline(fd=writer, write=True, timeout=30) == writer
        with Path(__file__).open("rb") as file:
            assert trampoline(file, read=True) == file.fileno()
    finally:
        os.close(reader)
        os.close(writer)


def test_trampoline_gives_what_somebody_else_switches_with(log):
    reader, writer = os.pipe()
    green = eventlet.spawn(lambda: log.append(trampoline(reader, read=True)))
    eventlet.sleep(0)
    hubs.get_hub().schedule_call_global(0, green.switch, 42)
    green.wait()
    os.close(reader)
    os.close(writer)
    assert log == [42]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"fd": 0, "read": True, "write": True}, RuntimeError),
        ({"fd": 0}, AssertionError),
        ({"fd": -1, "read": True}, ValueError),
        ({"fd": "0", "read": True}, TypeError),
        ({"fd": None, "read": True}, TypeError),
        ({"fd": 0, "read": True, "timeout": "1"}, TypeError),
    ],
)
def test_trampoline_refuses_what_it_cannot_wait_for(arguments, error):
    with pytest.raises(error):
        trampoline(**arguments)


@pytest.mark.parametrize(
    ("given", "raised"),
    [
        ({}, eventlet.Timeout),
        ({"timeout_exc": Boom}, Boom),
        ({"timeout_exc": Boom("x")}, Boom),
    ],
)
def test_trampoline_raises_when_its_time_is_over(given, raised):
    reader, writer = os.pipe()
    try:
        for seconds in (0, 0.001):
            with pytest.raises(raised):
                trampoline(reader, read=True, timeout=seconds, **given)
    finally:
        os.close(reader)
        os.close(writer)


JOBS = {
    "GreenPool.spawn": lambda: eventlet.GreenPool(2).spawn(boom),
    "GreenPool.spawn_n": lambda: eventlet.GreenPool(2).spawn_n(boom),
    "GreenPile.spawn": lambda: eventlet.GreenPile(2).spawn(boom),
    "GreenPool.imap": lambda: eventlet.GreenPool(2).imap(boom, [1]),
}


@pytest.mark.parametrize("job", JOBS)
def test_failure_of_a_job_that_nobody_waits_for_is_printed_once(job, capsys):
    kept = JOBS[job]()
    for _ in range(3):
        eventlet.sleep(0)
    del kept
    assert capsys.readouterr().err.count("test_kill_and_links.Boom") == 1


def test_failure_of_a_job_that_somebody_waits_for_is_not_printed(capsys):
    pool = eventlet.GreenPool(2)
    pile = eventlet.GreenPile(pool)
    with pytest.raises(Boom):
        pool.spawn(boom).wait()
    pile.spawn(boom)
    with pytest.raises(Boom):
        next(pile)
    assert capsys.readouterr().err == ""
