"""Promises of `eventlet.green.select`."""

from __future__ import annotations

import os

import pytest

import eventlet
from eventlet import hubs
from eventlet.green import select, socket
from eventlet.hubs import hub as hub_module


def test_select_reports_each_kind_of_readiness(pair):
    one, two = pair
    two.send(b"x")
    assert select.select([one, two], [one], [one], 0) == ([one], [one], [])


def test_select_wakes_when_data_arrives(pair, in_order):
    one, two = pair
    log = in_order(
        lambda: select.select([one], [], [])[0] == [one], lambda: two.send(b"x")
    )
    assert log == [(0, "starts"), (1, "starts"), (1, 1), (0, True)]


def test_select_reports_urgent_data_as_exceptional(listener, in_order):
    """Ordinary data that arrives first does not end the wait."""
    client = eventlet.connect(listener.getsockname())
    server, _address = listener.accept()

    def send():
        client.send(b"ordinary")
        eventlet.sleep(0)
        client.send(b"!", socket.MSG_OOB)

    log = in_order(lambda: select.select([], [], [server], 5)[2] == [server], send)
    assert (0, True) in log
    client.close()
    server.close()


def test_select_does_not_keep_others_from_reading(pair, in_order):
    """It takes nothing away, so it is no second reader."""
    one, two = pair
    log = in_order(
        lambda: select.select([one], [], [])[0] == [one],
        lambda: one.recv(1),
        lambda: select.select([one], [one], [])[1] == [one],
        lambda: two.send(b"xy"),
    )
    assert {entry for entry in log if entry[1] != "starts"} == {
        (0, True),
        (1, b"x"),
        (2, True),
        (3, 2),
    }
    assert hubs.get_hub().secondaries == {
        hub_module.READ: {},
        hub_module.WRITE: {},
    }


def test_select_times_out_with_empty_lists(pair):
    assert select.select([pair[0]], [], [], 0.01) == ([], [], [])
    assert hubs.get_hub().get_readers() == []


def test_select_with_zero_timeout_lets_others_run(pair):
    """A loop that polls must come to an end through somebody else."""
    one, two = pair
    eventlet.spawn(two.send, b"x")
    polls = 0
    while not select.select([one], [], [], 0)[0]:
        polls += 1
        assert polls < 100


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        pytest.param(([-1], [], []), ValueError, id="negative descriptor"),
        pytest.param((["x"], [], []), TypeError, id="no descriptor"),
        pytest.param(([], [], [], "x"), TypeError, id="no time"),
        pytest.param(([], [], [], -1), ValueError, id="negative time"),
    ],
)
def test_select_refuses_bad_arguments(arguments, error):
    with pytest.raises(error):
        select.select(*arguments)


def test_select_refuses_a_descriptor_that_is_not_open(pipe):
    os.close(pipe[0])
    with pytest.raises(OSError, match="not open"):
        select.select([pipe[0]], [], [])


def test_select_ends_when_a_descriptor_is_closed(pair, in_order):
    one, _two = pair
    log = in_order(lambda: select.select([one], [], []), one.close)
    assert issubclass(log[3][1], OSError)


# poll and epoll


@pytest.fixture(params=["poll", "epoll"])
def watch(request):
    """Give a fresh object of either kind and a function that waits some seconds."""
    if request.param == "poll":
        made = select.poll()
        yield made, lambda seconds: made.poll(seconds and seconds * 1000)
    else:
        with select.epoll() as made:
            yield made, made.poll
        assert made.closed


def test_poll_wakes_when_data_arrives(watch, pair, in_order):
    (watched, wait), (one, two) = watch, pair
    watched.register(one, select.POLLIN)
    log = in_order(lambda: wait(None), lambda: two.send(b"x"))
    assert log[2:] == [(1, 1), (0, [(one.fileno(), select.POLLIN)])]


def test_poll_times_out_and_follows_changes(watch, pair):
    (watched, wait), (one, _two) = watch, pair
    assert wait(0) == []
    watched.register(one.fileno(), select.POLLIN)
    assert wait(0) == wait(0.01) == []
    watched.modify(one, select.POLLOUT)
    assert wait(10) == [(one.fileno(), select.POLLOUT)]
    watched.unregister(one)
    assert wait(0.01) == []
    with pytest.raises((KeyError, FileNotFoundError)):
        watched.unregister(one)


def test_poll_lets_others_run_although_all_is_ready(watch, pair):
    (watched, wait), (one, _two) = watch, pair
    watched.register(one, select.POLLOUT)
    log = []
    eventlet.spawn(log.append, "other")
    assert wait(None) == [(one.fileno(), select.POLLOUT)]
    assert log == ["other"]


def test_poll_is_waited_for_by_several(watch, pair):
    """All are told, as OS threads are."""
    (watched, wait), (one, two) = watch, pair
    watched.register(one, select.POLLIN)
    waiting = [eventlet.spawn(wait, 10) for _ in range(2)]
    eventlet.sleep(0)
    two.send(b"x")
    assert [thread.wait() for thread in waiting] == [[(one.fileno(), 1)]] * 2


def test_poll_tells_of_a_descriptor_that_is_closed_meanwhile():
    reading, writing = os.pipe()
    watched = select.poll()
    watched.register(reading, select.POLLIN)
    waiting = eventlet.spawn(watched.poll, 10_000)
    eventlet.sleep(0)
    hubs.notify_close(reading)
    os.close(reading)
    assert waiting.wait() == [(reading, select.POLLNVAL)]
    os.close(writing)


def test_edges_of_an_epoll_reach_who_waits():
    """Looking whether there is something takes no edge away."""
    reading, writing = os.pipe()
    with select.epoll() as watched:
        watched.register(reading, select.EPOLLIN | select.EPOLLET)
        waiting = eventlet.spawn(watched.poll, 10)
        eventlet.sleep(0)
        os.write(writing, b"x")
        assert waiting.wait() == [(reading, select.EPOLLIN)]
        assert watched.poll(0.01) == []
    os.close(reading)
    os.close(writing)
