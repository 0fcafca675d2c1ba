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
