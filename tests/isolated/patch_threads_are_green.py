"""Thread objects of a patched process are green threads, in all that shows."""

# loops: uvloop

# ruff: noqa: D102, E402 (classes are props; when what is imported is the subject)

import sys
import threading


class Early(threading.Thread):
    """Derived before patching."""

    def run(self):
        log.append((self.name, threading.current_thread() is self))
        local.value = self.name
        go_on.wait()
        assert local.value == self.name
        log.append((self.name, native()))


import eventlet

eventlet.monkey_patch()

log = []
go_on = threading.Event()
local = threading.local()
native = eventlet.patcher.original("threading").get_native_id
threads = [Early(name=name) for name in ("a", "b")]
for thread in threads:
    thread.start()
assert threading.active_count() == 3
assert {t.ident for t in threading.enumerate()} >= {t.ident for t in threads}
go_on.set()
for thread in threads:
    thread.join()
    assert not thread.is_alive()
assert log == [("a", True), ("b", True), ("a", native()), ("b", native())], log
assert threading.active_count() == 1
assert not hasattr(local, "value")

# The main thread is who it was.
main = threading.main_thread()
assert threading.current_thread() is main
assert main.ident == threading.get_ident()
assert main.ident == eventlet.patcher.original("threading").get_ident()

# A join that times out leaves the thread alone.
go = threading.Event()
waiting = threading.Thread(target=go.wait)
waiting.start()
waiting.join(0.01)
assert waiting.is_alive()
go.set()
waiting.join()
assert not waiting.is_alive()

# An exception goes to the hook, and the thread is over.
caught = []
threading.excepthook = lambda args: caught.append((args.exc_type, args.thread))
failing = threading.Thread(target=lambda: 1 // 0)
failing.start()
failing.join()
assert caught == [(ZeroDivisionError, failing)]

# SystemExit ends the thread and nothing else.
ending = threading.Thread(target=sys.exit, args=(3,))
ending.start()
ending.join()
assert not ending.is_alive()

# Misuse is reported as ever.
for misuse in (failing.start, threading.Thread().join, main.join):
    try:
        misuse()
    except RuntimeError:
        continue
    raise AssertionError(misuse)

# A green thread of eventlet's own shows as a thread, too.
seen = []


def look():
    seen.append(threading.current_thread())
    assert seen[0] in threading.enumerate()
    assert seen[0].ident == threading.get_ident() == id(eventlet.getcurrent())


eventlet.spawn(look).wait()
assert not seen[0].is_alive()
assert seen[0] not in threading.enumerate()

# Nobody waits for this one at the end: main's end is the process's.
threading.Thread(target=eventlet.sleep, args=(3600,)).start()
print("pass")
