"""
KeyboardInterrupt wherever it strikes in Eventlet's code while a hub is made: the next green
call finds a hub that works, and no descriptor is lost.
"""

# loops: uvloop

import gc
import os
import sys
import warnings

import eventlet
from eventlet import hubs

ours = os.path.dirname(eventlet.__file__)


def descriptors():
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


def interrupted_at(count):
    """Make a hub and interrupt it at a line; return whether that line was reached."""
    left = count

    def trace(frame, event, arg):
        nonlocal left
        # What asyncio loses by an interruption of its own code is its own affair.
        if not frame.f_code.co_filename.startswith(ours):
            return None
        # And so is what uvloop loses whose constructor asks whether it is running.
        if (
            frame.f_code.co_name == "running"
            and "uvloop" in frame.f_back.f_code.co_filename
        ):
            return None
        if event == "line":
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        eventlet.sleep(0)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return left <= 0


def works():
    seen = []
    greens = [eventlet.spawn(seen.append, i) for i in range(3)]
    for green in greens:
        green.wait()
    eventlet.spawn_after(0.001, seen.append, 3).wait()
    assert seen == [0, 1, 2, 3], seen


# A loop that was made and not kept says so when it is collected, as it should.
warnings.simplefilter("ignore", ResourceWarning)
works()
hubs.get_hub().close()
before = descriptors()
count = 0
reached = True
while reached:
    count += 1
    reached = interrupted_at(count)
    works()
    hubs.get_hub().close()
    assert descriptors() <= before, (count, before, descriptors())
assert count > 20, count
print("pass")
