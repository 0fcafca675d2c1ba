"""
Every greenlet has an identity of its own in a patched `threading`, however it was started,
and the registry of threads keeps none of them.
"""
# ruff: noqa: E402 (when what is imported is the subject)

import gc
import threading
import weakref

import eventlet

eventlet.monkey_patch()

import _thread

import greenlet

main = threading.main_thread()
go = eventlet.Event()
seen = {}


def report(name):
    here = threading.current_thread()
    assert here is threading.current_thread()
    assert here.ident == threading.get_ident() == id(eventlet.getcurrent())
    assert here in threading.enumerate()
    assert here.is_alive()
    assert here.daemon
    seen[name] = here
    go.wait()


def in_greenlet():
    seen["greenlet"] = threading.current_thread()
    main_greenlet.switch()


main_greenlet = eventlet.getcurrent()
eventlet.spawn(report, "spawn")
eventlet.spawn_n(report, "spawn_n")
_thread.start_new_thread(report, ("start_new_thread",))
thread = threading.Thread(target=report, args=("thread",), daemon=True)
thread.start()
raw = greenlet.greenlet(in_greenlet)
raw.switch()
eventlet.sleep(0)
assert set(seen) == {"thread", "greenlet", "spawn", "spawn_n", "start_new_thread"}
assert len({id(found) for found in (*seen.values(), main)}) == 6
assert len({found.ident for found in (*seen.values(), main)}) == 6
assert seen["thread"] is thread
assert threading.current_thread() is main
assert set(threading.enumerate()) == {main, *seen.values()}

# One can be joined from another, and none from itself.
joined = [eventlet.spawn(seen[name].join) for name in ("spawn", "spawn_n")]
try:
    eventlet.spawn(lambda: threading.current_thread().join()).wait()
except RuntimeError as error:
    assert "cannot join" in str(error)
else:
    raise AssertionError
seen["spawn_n"].join(timeout=0)
assert seen["spawn_n"].is_alive()
go.send()
for waiter in joined:
    waiter.wait()
raw.switch()
assert raw.dead
assert not seen["spawn_n"].is_alive()
eventlet.sleep(0)
assert threading.enumerate() == [main]


# The registry keeps no greenlet that nobody else knows.
def forgotten():
    threading.current_thread()
    main_greenlet.switch()


raw = greenlet.greenlet(forgotten)
raw.switch()
dropped = weakref.ref(raw)
assert len(threading.enumerate()) == 2
del raw
gc.collect()
assert dropped() is None
assert threading.enumerate() == [main]
print("pass")
