"""Importing eventlet and using green threads warns of nothing, deprecations included."""

# loops: uvloop

import warnings

warnings.simplefilter("error")

import eventlet  # noqa: E402 - it is to be imported with warnings as errors
import eventlet.asyncio  # noqa: E402
import eventlet.hubs  # noqa: E402

assert eventlet.spawn(len, "abc").wait() == 3
eventlet.hubs.get_hub().loop.call_soon(int)
eventlet.sleep(0.001)
print("pass")
