"""Each test of the engine leaves no stack in use behind."""

from __future__ import annotations

import gc

import pytest

import eventlet
from eventlet_asyncio import _core


def in_use():
    return _core._stack_statistics()["in_use"]


@pytest.fixture(autouse=True)
def stacks_come_back():
    """Fail a test after which more stacks are in use than before."""
    # The hub's greenlet has a stack from its first use on.
    eventlet.sleep(0)
    before = in_use()
    yield
    for _ in range(100):
        gc.collect()
        if in_use() <= before:
            break
        eventlet.sleep(0.001)
    assert in_use() <= before
