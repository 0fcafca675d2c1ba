"""Reentrant locks made before patching belong to green threads afterwards."""

# ruff: noqa: D101, D102, E402 (classes are props; when what is imported is the subject)

import logging
import threading


class Slotted:
    __slots__ = ("__mangled", "lock")

    def __init__(self):
        self.lock = threading.RLock()
        self.__mangled = threading.RLock()

    def mangled(self):
        return self.__mangled


class Holder:
    of_class = threading.RLock()

    def __init__(self):
        self.own = threading.RLock()


def closure():
    lock = threading.RLock()
    return lambda: lock


holder, slotted, closed = Holder(), Slotted(), closure()
condition = threading.Condition()
event, held, shared = threading.Event(), threading.RLock(), threading.RLock()
in_list, in_dict = [threading.RLock()], {"lock": threading.RLock()}
alias = shared
held.acquire()
held.acquire()
handler = logging.StreamHandler()

import eventlet

eventlet.monkey_patch()

python_lock = threading._PyRLock
for lock in (
    *(holder.own, holder.of_class, slotted.lock, slotted.mangled(), closed()),
    *(in_list[0], in_dict["lock"], held, shared, handler.lock),
):
    assert isinstance(lock, python_lock), lock
assert alias is shared


def try_to_take(lock):
    return eventlet.spawn(lock.acquire, blocking=False).wait()


# What was held is held, by the same one and as often.
assert not try_to_take(held)
held.release()
assert not try_to_take(held)
held.release()
assert try_to_take(held)
try:
    held.release()
except RuntimeError:
    pass
else:
    raise AssertionError

# A condition works with its new lock, old parts and all.
results = []


def wait():
    with condition:
        results.append(condition.wait(10))


waiter = eventlet.spawn(wait)
eventlet.sleep(0)
with condition:
    condition.notify()
waiter.wait()
assert results == [True]

# An event made before is waited for cooperatively.
waiter = eventlet.spawn(event.wait, 10)
eventlet.sleep(0)
event.set()
assert waiter.wait()


# Two green threads never are in one critical section together.
inside = []


def critical():
    with shared:
        inside.append(1)
        assert len(inside) == 1
        eventlet.sleep(0)
        inside.pop()


threads = [eventlet.spawn(critical) for _ in range(3)]
for thread in threads:
    thread.wait()
print("pass")
