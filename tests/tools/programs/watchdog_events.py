"""
watchdog tells a patched program what happens to files, as soon as it does.

Its observer and its emitter are green threads, and others run meanwhile.
"""
# needs: watchdog

import eventlet

eventlet.monkey_patch()

import itertools
import queue
import tempfile
import time
from pathlib import Path

from watchdog.events import FileSystemEventHandler
from watchdog.observers import Observer
from watchdog.observers.polling import PollingObserver

KINDS = {"created", "moved", "deleted"}


class Recorder(FileSystemEventHandler):
    """Keeps what happened to which file."""

    def __init__(self):
        self.events = queue.Queue()

    def on_any_event(self, event):
        if event.event_type in KINDS or not event.is_directory:
            names = [Path(path).name for path in (event.src_path, event.dest_path)]
            self.events.put((event.event_type, *filter(None, names)))

    def until(self, *wanted):
        """Return what was seen up to this event."""
        seen = []
        while not seen or seen[-1] != wanted:
            seen.append(self.events.get(timeout=20))
        return [event for event in seen if event[0] in {*KINDS, "modified"}]


def check(observer, first_steps):
    """Change files in a folder of its own and compare with what is told."""
    with tempfile.TemporaryDirectory() as name:
        folder, recorder = Path(name), Recorder()
        observer.schedule(recorder, name, recursive=True)
        observer.start()
        try:
            (folder / "a").write_text("text")
            assert recorder.until(*first_steps[-1]) == first_steps
            (folder / "a").rename(folder / "b")
            assert recorder.until("moved", "a", "b") == [("moved", "a", "b")]
            (folder / "b").unlink()
            assert recorder.until("deleted", "b") == [("deleted", "b")]
            (folder / "sub").mkdir()
            recorder.until("created", "sub")
            (folder / "sub" / "c").write_text("text")
            recorder.until("created", "c")
            for number in range(200):
                (folder / f"many{number}").touch()
            missing = {("created", f"many{number}") for number in range(200)}
            while missing:
                missing.discard(recorder.events.get(timeout=20))
        finally:
            start = time.monotonic()
            observer.stop()
            observer.join(20)
        assert not observer.is_alive()
        assert time.monotonic() - start < 5


turns = []


def take_turns():
    while True:
        turns.append(time.monotonic())
        eventlet.sleep(0.01)


eventlet.spawn(take_turns)
check(Observer(), [("created", "a"), ("modified", "a")])
check(PollingObserver(timeout=0.1), [("created", "a")])
assert max(b - a for a, b in itertools.pairwise(turns)) < 2
print("pass")
