"""Loops under the hub, and signs that coroutines and green threads give each other."""

from __future__ import annotations

import asyncio
import gc
import importlib.util

import pytest

import eventlet
from eventlet import hubs

LOOPS = {"asyncio": "asyncio:new_event_loop", "uvloop": "uvloop:new_event_loop"}


@pytest.fixture(params=LOOPS, autouse=True)
def loop_kind(request, monkeypatch):
    """Give the test a new hub, on the stock loop and on uvloop."""
    kind = request.param
    if kind == "uvloop" and importlib.util.find_spec("uvloop") is None:
        pytest.skip("uvloop is not installed")
    monkeypatch.setenv("EVENTLET_ASYNCIO_LOOP", LOOPS[kind])
    hubs.use_hub("asyncio")
    yield kind
    # Cancelled tasks end in the loop's next passes.
    for _ in range(3):
        eventlet.sleep(0)
    left = [task for task in asyncio.all_tasks(hubs.get_hub().loop) if not task.done()]
    for task in left:
        task.cancel()
    eventlet.sleep(0)
    # Unraisable errors and warnings of what a test leaves behind are its own.
    gc.collect()
    assert left == []


class Gate:
    """Something that a coroutine awaits until green code or another coroutine opens it."""

    def __init__(self):
        self._future = hubs.get_hub().loop.create_future()

    def open(self, value=None):
        """Let the coroutine go on with a value."""
        self._future.set_result(value)

    def __await__(self):
        """Wait until the gate is open."""
        return self._future.__await__()


@pytest.fixture
def gate():
    """Give the test a gate on the hub's loop."""
    return Gate()


@pytest.fixture
def settle():
    """Let everything that is ready run, green threads and tasks alike."""

    def run(rounds=5):
        for _ in range(rounds):
            eventlet.sleep(0)

    return run
