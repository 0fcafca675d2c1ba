"""The first use of the hub may be in a log handler, though asyncio logs that it makes a loop."""

import asyncio
import logging

import eventlet.asyncio

seen = []


async def note(record):
    await asyncio.sleep(0)
    seen.append(record.getMessage())


def wait_for_note(record):
    """Wait for a coroutine at each record, as a handler with a green lock does."""
    eventlet.asyncio.spawn_for_awaitable(note(record)).wait()


handler = logging.Handler()
handler.handle = wait_for_note
logging.basicConfig(level=logging.DEBUG, handlers=[handler])
logging.getLogger("apps").debug("first")
logging.getLogger("asyncio").debug("second")
assert seen == ["first", "second"], seen
print("pass")
