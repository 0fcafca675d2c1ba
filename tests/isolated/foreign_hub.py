"""Another OS thread may hand a hub calls, under its own event loop too, and nothing else."""

# loops: uvloop

import asyncio
import threading

import eventlet
from eventlet import hubs
from eventlet_asyncio import _core

hub = hubs.get_hub()
home = threading.get_ident()
calls = []
refused = []


def call():
    calls.append(threading.get_ident())


def refuse(use):
    try:
        use()
    except RuntimeError as error:
        refused.append(str(error))


def other():
    async def main():
        hub.schedule_call_global(0, call)
        hub.schedule_call_global(0.01, call)
        cancelled = hub.schedule_call_global(0.01, call)
        cancelled.cancel()
        await asyncio.sleep(0.05)

    asyncio.run(main())
    for use in (
        hub.switch,
        hub.run,
        hub.close,
        hub.get_readers,
        hub.ensure_greenlet,
        lambda: hub.abort(wait=True),
        lambda: hub.add(hub.READ, 0, print, print),
    ):
        refuse(use)


thread = threading.Thread(target=other)
thread.start()
with eventlet.Timeout(20):
    while len(calls) < 2 or thread.is_alive():
        eventlet.sleep(0.01)
thread.join()
assert calls == [home, home], (calls, home)
assert len(refused) == 7, refused
assert all("another OS thread" in text for text in refused), refused


class Bare(_core.Hub):
    """Forgets to open itself."""


for name in ("running", "greenlet", "stopping", "debug_exceptions", "switch", "run"):
    try:
        value = getattr(Bare(), name)
        value()
    except RuntimeError as error:
        assert "super().__init__()" in str(error), error
    else:
        raise AssertionError(name)
print("pass")
