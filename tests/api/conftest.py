"""What the tests of descriptors share: ends to talk over, and a record of order."""

from __future__ import annotations

import contextlib
import os

import pytest

import eventlet
from eventlet.green import socket


@pytest.fixture
def pair():
    """Give two green sockets connected with each other."""
    one, two = socket.socketpair()
    yield one, two
    one.close()
    two.close()


@pytest.fixture
def listener():
    """Give a green socket that listens on loopback."""
    sock = eventlet.listen(("127.0.0.1", 0))
    yield sock
    sock.close()


@pytest.fixture
def pipe():
    """Give the descriptors of a blocking pipe."""
    ends = os.pipe()
    yield ends
    for fd in ends:
        with contextlib.suppress(OSError):  # closed by the test
            os.close(fd)


@pytest.fixture
def in_order():
    """Give a function that runs calls in green threads and tells what happened."""
    return run_in_order


def run_in_order(*calls):
    """Run the calls in green threads, started in this order; return what happened."""
    log = []

    def run(name, call):
        log.append((name, "starts"))
        try:
            log.append((name, call()))
        except Exception as error:
            log.append((name, type(error), getattr(error, "errno", None)))

    threads = [eventlet.spawn(run, number, call) for number, call in enumerate(calls)]
    for thread in threads:
        thread.wait()
    return log
