"""When descriptors are served, relative to green threads that do not wait."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

import eventlet
from eventlet import hubs
from eventlet.green import socket


@pytest.fixture
def ends():
    """Give two connected green sockets."""
    left, right = socket.socketpair()
    yield left, right
    left.close()
    right.close()


ACTS = {
    "send": lambda end: end.send(b"x"),
    "sendall": lambda end: end.sendall(b"x"),
    "close": lambda end: end.close(),
    "os.write": lambda end: os.write(end.fileno(), b"x"),
}


@pytest.mark.parametrize("act", ACTS)
def test_reader_goes_on_before_what_was_spawned_while_its_data_came(act, ends):
    left, right = ends
    log = []

    def read():
        right.recv(1)
        log.append("read")

    def chain(number):
        log.append(number)
        if number < 3:
            eventlet.spawn_n(chain, number + 1)
        if number == 1:
            ACTS[act](left)

    reader = eventlet.spawn(read)
    eventlet.sleep(0)
    eventlet.spawn_n(chain, 1)
    reader.wait()
    while len(log) < 4:
        eventlet.sleep(0)
    assert log == [1, "read", 2, 3]


def test_reader_goes_on_between_two_turns_of_those_who_only_give_way(ends):
    left, right = ends
    log = []

    def gives_way(name):
        for number in range(3):
            log.append((name, number))
            eventlet.sleep(0)

    def read():
        right.recv(1)
        log.append("read")

    reader = eventlet.spawn(read)
    eventlet.sleep(0)
    others = [eventlet.spawn(gives_way, name) for name in "ab"]
    eventlet.spawn_n(left.send, b"x")
    for green in [reader, *others]:
        green.wait()
    assert log.index("read") == 2


def test_reader_does_not_wait_for_those_who_fail_at_once(ends, capsys):
    left, right = ends
    log = []

    def fails(number):
        log.append(number)
        if number < 50:
            eventlet.spawn(fails, number + 1)
        if number == 2:
            left.send(b"x")
        raise ValueError(number)

    def read():
        right.recv(1)
        log.append("read")

    reader = eventlet.spawn(read)
    eventlet.sleep(0)
    eventlet.spawn(fails, 1)
    reader.wait()
    assert log[:3] == [1, 2, "read"]
    while log[-1] != 50:
        eventlet.sleep(0)
    assert "ValueError: 50" in capsys.readouterr().err


def test_writer_goes_on_when_its_peer_has_read(ends):
    left, right = ends
    right.setblocking(True)
    log = []
    left.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)

    def write():
        left.sendall(b"x" * 1_000_000)
        log.append("written")

    writer = eventlet.spawn(write)
    eventlet.sleep(0)
    left_over = 1_000_000
    while left_over:
        left_over -= len(right.recv(1_000_000))
    writer.wait()
    assert log == ["written"]


def test_hub_callback_of_a_timer_does_not_hold_sockets_up(ends):
    left, right = ends
    log = []

    def again(number):
        log.append(number)
        if number == 1:
            left.send(b"x")
        if number < 3:
            hubs.get_hub().schedule_call_global(0, again, number + 1)

    def read():
        right.recv(1)
        log.append("read")

    reader = eventlet.spawn(read)
    eventlet.sleep(0)
    hubs.get_hub().schedule_call_global(0, again, 1)
    reader.wait()
    while len(log) < 4:
        eventlet.sleep(0)
    assert log == [1, "read", 2, 3]


HUBS = {
    "uvloop": {"EVENTLET_ASYNCIO_LOOP": "uvloop:new_event_loop"},
    "poll": {"EVENTLET_HUB": "poll"},
    "selects": {"EVENTLET_HUB": "selects"},
}


@pytest.mark.parametrize("name", HUBS)
def test_order_is_the_same_on_every_hub(name):
    if name == "uvloop" and find_spec("uvloop") is None:
        pytest.skip("uvloop is not installed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-k", "not every_hub", __file__],
        env=os.environ | HUBS[name],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:]
