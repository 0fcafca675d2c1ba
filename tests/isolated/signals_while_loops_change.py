"""A signal reaches a loop of green code also while the loop's descriptor is exchanged."""

import asyncio
import signal

import eventlet

set_wakeup_fd = signal.set_wakeup_fd
log = []


def run(event_loop, at):
    """Run a loop, with a signal right after that call; return how many calls there were."""
    calls = 0

    def exchanging(*args, **options):
        nonlocal calls
        found = set_wakeup_fd(*args, **options)
        calls += 1
        if calls == at:
            signal.raise_signal(signal.SIGUSR1)
        return found

    signal.set_wakeup_fd = exchanging
    try:
        event_loop.run_until_complete(asyncio.sleep(0.001))
    finally:
        signal.set_wakeup_fd = set_wakeup_fd
    return calls


eventlet.sleep(0)
event_loop = asyncio.new_event_loop()
event_loop.add_signal_handler(signal.SIGUSR1, log.append, "heard")
# At the beginning and the end of a run, and of a wait in between.
for at in range(1, 5):
    assert run(event_loop, at) >= at
    # One that comes at the end of a run is the next one's.
    event_loop.run_until_complete(asyncio.sleep(0.001))
    assert log == ["heard"], (at, log)
    log.clear()
event_loop.close()
print("pass")
