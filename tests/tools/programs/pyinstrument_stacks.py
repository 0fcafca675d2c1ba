"""pyinstrument gives the time of a green thread to the functions that it was in."""
# needs: pyinstrument

import json
import time

from pyinstrument import Profiler
from pyinstrument.renderers import JSONRenderer

import eventlet


def burn(seconds):
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass


def alpha():
    for _ in range(20):
        burn(0.02)
        eventlet.sleep(0)


def beta():
    for _ in range(20):
        burn(0.005)
        eventlet.sleep(0)


def main():
    threads = [eventlet.spawn(alpha), eventlet.spawn(beta)]
    for thread in threads:
        thread.wait()


with Profiler(async_mode="disabled", interval=0.001) as profiler:
    main()


def walk(frame, above):
    names = (*above, frame["function"])
    yield names, frame["time"]
    for child in frame["children"]:
        yield from walk(child, names)


times = {"alpha": 0, "beta": 0}
root = json.loads(profiler.output(JSONRenderer(show_all=True)))["root_frame"]
for names, seconds in walk(root, ()):
    for name in times:
        if names[-1] == name:
            times[name] += seconds
    assert not {"alpha", "beta"} <= set(names), names
assert times["alpha"] > 0.3, times
print("pass")
