"""OS threads that make their hubs at the same time keep nobody from logging."""

import asyncio
import asyncio.selector_events
import logging
import os
import threading

import eventlet

records = []
handler = logging.Handler()
handler.handle = records.append
logging.basicConfig(level=logging.DEBUG, handlers=[handler])
logger = logging.getLogger("asyncio")

first_is_in = threading.Event()
second_is_in = threading.Event()
first_is_out = threading.Event()


def factory():
    """Make a loop while another thread makes one: in first, out first."""
    if threading.current_thread().name == "first":
        first_is_in.set()
        assert second_is_in.wait(20)
    else:
        assert first_is_in.wait(20)
        # What asyncio says of the loop that this thread makes; not so what others say meanwhile.
        asyncio.selector_events.logger.debug("unheard")
        second_is_in.set()
        assert first_is_out.wait(20)
    return asyncio.new_event_loop()


def work():
    eventlet.sleep(0)
    first_is_out.set()
    logger.debug(threading.current_thread().name)


os.environ["EVENTLET_ASYNCIO_LOOP"] = "__main__:factory"
threads = [threading.Thread(target=work, name=name) for name in ("first", "second")]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(30)
logger.debug("main")
said = [record.getMessage() for record in records]
assert said == ["first", "second", "main"], said
assert not logger.disabled
print("pass")
