"""The first use of the hub may be in a log handler, though asyncio logs that it makes a loop."""

import asyncio
import logging

import eventlet.asyncio


class Handler(logging.Handler):
    """Waits for a coroutine at each record, as a handler with a green lock does."""

    def __init__(self):
        super().__init__()
        self.seen = []

    async def note(self, record):
        await asyncio.sleep(0)
        self.seen.append(record.getMessage())

    def handle(self, record):
        eventlet.asyncio.spawn_for_awaitable(self.note(record)).wait()


handler = Handler()
logging.basicConfig(level=logging.DEBUG, handlers=[handler])
logging.debug("first")
logging.getLogger("asyncio").debug("second")
assert handler.seen == ["first", "second"], handler.seen
print("pass")
