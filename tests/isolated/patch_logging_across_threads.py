"""Native threads and green threads log through one handler, and none waits for ever."""

import logging

import eventlet
from eventlet import patcher

NATIVE, GREEN, LINES = 4, 1000, 20


class Collecting(logging.Handler):
    """Keeps lines, and lets others run in the middle of each, as a slow stream does."""

    def __init__(self):
        super().__init__()
        self.lines = []
        self.inside = 0
        self.overlaps = 0

    def emit(self, record):  # noqa: D102 - as in the base class
        self.inside += 1
        self.overlaps += self.inside > 1
        if len(self.lines) % 7 == 0:
            eventlet.sleep(0)
        self.lines.append(record.getMessage())
        self.inside -= 1


handlers = [Collecting()]
eventlet.monkey_patch()
handlers.append(Collecting())
threading = patcher.original("threading")

log = logging.getLogger("crowd")
log.propagate = False
for handler in handlers:
    log.addHandler(handler)
log.setLevel(logging.INFO)


def write(name):
    for number in range(LINES):
        log.info("%s %d", name, number)


natives = [
    threading.Thread(target=write, args=(f"native-{number}",), daemon=True)
    for number in range(NATIVE)
]
with eventlet.Timeout(40):
    for thread in natives:
        thread.start()
    greens = [eventlet.spawn(write, f"green-{number}") for number in range(GREEN)]
    for green in greens:
        green.wait()
    while any(thread.is_alive() for thread in natives):
        eventlet.sleep(0.001)

names = [f"native-{number}" for number in range(NATIVE)]
names += [f"green-{number}" for number in range(GREEN)]
expected = {f"{name} {number}" for name in names for number in range(LINES)}
for handler in handlers:
    assert len(handler.lines) == len(expected)
    assert set(handler.lines) == expected
    assert handler.overlaps == 0, handler.overlaps
print("pass")
