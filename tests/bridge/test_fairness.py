"""Coroutines have their turn while a green thread never waits."""

from __future__ import annotations

import asyncio

import eventlet
from eventlet.asyncio import spawn_for_awaitable
from eventlet.green import socket


def test_coroutines_have_their_turn():
    """The event loop goes round each time a green thread gives way."""

    async def count():
        while not done:
            passes.append(1)
            await asyncio.sleep(0)

    done, passes = [], []
    left, right = socket.socketpair()
    right.sendall(bytes(2000))
    counter = spawn_for_awaitable(count())
    eventlet.sleep(0)
    passes.clear()
    for _ in range(2000):
        left.recv(1)
    done.append(1)
    counter.wait()
    assert len(passes) >= 2000 // 256
    left.close()
    right.close()
