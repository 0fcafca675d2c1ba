"""The hub: loops, drivers, interruptions, links, and what it prints."""

from __future__ import annotations

import gc
import os
import signal
import socket
import sys
import threading
import time
import weakref

import pytest

import eventlet
from eventlet import debug, hubs
from eventlet.hubs import trampoline

DRIVERS = ("asyncio", "epolls", "poll", "selects")


def in_process(run_isolated, driver, body, **env):
    """Run a program under a hub; return the lines it prints."""
    program = f"import eventlet\neventlet.hubs.use_hub({driver!r})\n{body}"
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"} | env)
    assert done.stderr == ""
    return done.stdout.splitlines()


WORK = """
import os, socket
from eventlet.hubs import trampoline
log = []
left, right = socket.socketpair()
def read():
    trampoline(left, read=True)
    log.append("read")
    return eventlet.spawn_after(0.01, log.append, "late")
green = eventlet.spawn(read)
eventlet.spawn_after(0.01, right.send, b"x")
eventlet.spawn_n(log.append, "soon")
green.wait().wait()
print(*log)
print(type(eventlet.hubs.get_hub()).__module__)
"""


@pytest.mark.parametrize("driver", DRIVERS)
def test_every_driver_does_the_same(run_isolated, driver):
    """Timers, descriptors and spawns work under each name of use_hub()."""
    lines = in_process(run_isolated, driver, WORK)
    assert lines == ["soon read late", f"eventlet.hubs.{driver}"]


def test_hub_class_that_overrides_wait_drives_the_engine(run_isolated):
    """wait() of a subclass is called with the time to the next timer, and may poll."""
    body = (
        """
from eventlet.hubs.hub import BaseHub
pauses = []
class Hub(BaseHub):
    def wait(self, seconds=None):
        pauses.append(seconds)
        self._poll(min(seconds, 0.5))
eventlet.hubs.use_hub(Hub)
print(eventlet.spawn_after(0.05, int).wait())
assert all(0 <= pause <= 60 for pause in pauses), pauses
assert any(0.01 < pause <= 0.05 for pause in pauses), pauses
assert len(pauses) < 20
"""
        + WORK
    )
    lines = in_process(run_isolated, "poll", body)
    assert lines == ["0", "soon read late", "__main__"]


def test_error_of_an_overridden_wait_reaches_main(run_isolated):
    """A wait() that fails ends in main, and may be tried again."""
    body = """
from eventlet.hubs.hub import BaseHub
class Hub(BaseHub):
    broken = True
    def wait(self, seconds=None):
        if self.broken:
            raise ZeroDivisionError
        self._poll(seconds)
eventlet.hubs.use_hub(Hub)
try:
    eventlet.sleep(30)
except ZeroDivisionError:
    print("failed")
Hub.broken = False
eventlet.sleep(0.01)
print("works")
"""
    assert in_process(run_isolated, "poll", body) == ["failed", "works"]


def test_loop_is_chosen_by_the_environment(run_isolated):
    """EVENTLET_ASYNCIO_LOOP names what makes the hub's loop."""
    program = """
import asyncio, sys
class Mine(asyncio.SelectorEventLoop):
    pass
def make():
    return Mine()
sys.modules["mine"] = sys.modules["__main__"]
import eventlet
eventlet.sleep(0.01)
print(type(eventlet.hubs.get_hub().loop).__name__)
"""
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_LOOP": "mine:make"}
    assert run_isolated(program, env).stdout == "Mine\n"


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ("uvloop", "ValueError: EVENTLET_ASYNCIO_LOOP='uvloop'"),
        ("no_such_module:make", "No module named 'no_such_module'"),
        ("asyncio:no_such_name", "no_such_name"),
        ("builtins:int", "TypeError: EVENTLET_ASYNCIO_LOOP='builtins:int'"),
    ],
)
def test_loop_that_cannot_be_made_is_named(run_isolated, value, error):
    """A bad EVENTLET_ASYNCIO_LOOP is an error in main that says what is wrong."""
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_ASYNCIO_LOOP": value}
    done = run_isolated("import eventlet; eventlet.sleep(0.01)", env, status=1)
    assert error in done.stderr


def test_loop_set_by_the_application_is_used_and_left_open(run_isolated):
    """The hub takes the loop of set_event_loop(), and does not close it."""
    program = """
import asyncio, eventlet
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
eventlet.sleep(0.01)
assert eventlet.hubs.get_hub().loop is loop
eventlet.hubs.use_hub("poll")
assert not loop.is_closed()
print(loop.run_until_complete(asyncio.sleep(0, "mine")))
loop.close()
"""
    env = {"EVENTLET_HUB": "asyncio"}
    assert run_isolated(program, env).stdout == "mine\n"


def test_loop_closed_under_an_idle_hub_is_replaced(run_isolated):
    """A hub whose loop was closed makes another."""
    body = """
eventlet.sleep(0.01)
green = eventlet.spawn(eventlet.sleep, 0.01)
import asyncio
async def main():
    pass
loop = asyncio.new_event_loop()
asyncio.set_event_loop(loop)
eventlet.hubs.use_hub("asyncio")
assert eventlet.hubs.get_hub().loop is loop
loop.close()
print(eventlet.spawn(int).wait())
assert eventlet.hubs.get_hub().loop is not loop
"""
    assert in_process(run_isolated, "asyncio", body) == ["0"]


INTERRUPTED = """
import os, signal, sys, threading, time

def after(seconds, number):
    threading.Timer(seconds, os.kill, (os.getpid(), number)).start()

log = []
def background():
    while True:
        eventlet.sleep(0.01)
        log.append(1)
green = eventlet.spawn(background)

after(0.1, signal.SIGINT)
start = time.monotonic()
try:
    eventlet.sleep(20)
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - start < 5)
seen = len(log)
eventlet.sleep(0.1)
print("alive", len(log) > seen, not green.dead)

def leave(*_):
    sys.exit(3)
signal.signal(signal.SIGTERM, leave)
after(0.1, signal.SIGTERM)
try:
    try:
        eventlet.sleep(20)
    finally:
        eventlet.sleep(0.05)
        print("cleanup")
except SystemExit as error:
    print("exit", error.code)

eventlet.spawn(sys.exit, 4)
try:
    eventlet.sleep(20)
except SystemExit as error:
    print("exit", error.code)

eventlet.hubs.get_hub().schedule_call_global(0, sys.exit, 5)
try:
    eventlet.sleep(20)
except SystemExit as error:
    print("exit", error.code)

def spin():
    while True:
        eventlet.sleep(0)
spinning = eventlet.spawn(spin)
after(0.1, signal.SIGINT)
try:
    eventlet.sleep(20)
except KeyboardInterrupt:
    print("interrupted", spinning.dead)
spinning.kill()
seen = len(log)
eventlet.sleep(0.1)
print("alive", len(log) > seen, not green.dead)
"""


@pytest.mark.parametrize("driver", ["asyncio", "poll"])
def test_interruptions_reach_main_and_the_hub_goes_on(run_isolated, driver):
    """KeyboardInterrupt and SystemExit, wherever raised, leave a hub that works."""
    lines = in_process(run_isolated, driver, INTERRUPTED)
    assert lines[:6] == [
        "interrupted True",
        "alive True True",
        "cleanup",
        "exit 3",
        "exit 4",
        "exit 5",
    ]
    assert lines[6].startswith("interrupted")
    assert lines[7].startswith("alive True")


def test_stopping_the_loop_does_not_end_the_hub():
    """After loop.stop() by the application the same loop runs on, in the same greenlet."""
    hub = hubs.get_hub()
    loop, runner = hub.loop, hub.greenlet
    log = []

    def stop(number):
        log.append(number)
        loop.stop()

    green = eventlet.spawn_after(0.01, log.append, "green")
    for number in range(2):
        loop.call_soon(stop, number)
        while number not in log:
            eventlet.sleep(0)
    green.wait()
    assert log == [0, 1, "green"]
    assert (hub.loop, hub.greenlet, runner.dead) == (loop, runner, False)


def test_exit_in_a_loop_callback_reaches_main():
    """SystemExit in a plain asyncio callback goes to main; the hub goes on."""
    loop = hubs.get_hub().loop
    loop.call_soon(sys.exit, 7)
    with pytest.raises(SystemExit) as caught:
        eventlet.sleep(20)
    assert caught.value.code == 7
    assert eventlet.spawn(int).wait() == 0


def test_signal_handler_wakes_a_green_thread_while_all_sleep():
    """What a handler schedules happens at once although everything sleeps."""
    hub = hubs.get_hub()
    green = eventlet.spawn(hub.switch)
    eventlet.sleep(0)

    def handler(_number, _frame):
        hub.schedule_call_global(0, green.switch, "woken")

    former = signal.signal(signal.SIGUSR1, handler)
    timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR1))
    start = time.monotonic()
    try:
        timer.start()
        with eventlet.Timeout(20):
            assert green.wait() == "woken"
    finally:
        timer.join()
        signal.signal(signal.SIGUSR1, former)
    assert time.monotonic() - start < 5


def test_callback_of_the_hub_must_not_block(capsys):
    """A blocking call in a callback is an error that says so; others go on."""
    hubs.get_hub().schedule_call_global(0, eventlet.sleep, 1)
    eventlet.sleep(0.01)
    assert "MAINLOOP" in capsys.readouterr().err


def test_error_of_a_callback_is_printed_unless_told_not_to(capsys):
    """hub_exceptions decides about callbacks and about green threads nobody waits for."""
    hub = hubs.get_hub()

    def fail():
        message = "on purpose"
        raise ZeroDivisionError(message)

    hub.schedule_call_global(0, fail)
    eventlet.spawn_n(fail)
    eventlet.spawn(fail)
    eventlet.sleep(0.01)
    assert capsys.readouterr().err.count("ZeroDivisionError: on purpose") == 3
    former = hub.debug_exceptions
    hub.set_timer_exceptions(False)
    try:
        hub.schedule_call_global(0, fail)
        eventlet.spawn_n(fail)
        eventlet.spawn(fail)
        eventlet.sleep(0.01)
    finally:
        hub.debug_exceptions = former
    assert capsys.readouterr().err == ""


def test_abort_ends_the_loop_and_returns_to_main(run_isolated):
    """abort(wait=True) stops the hub; the next wait starts it again."""
    body = """
hub = eventlet.hubs.get_hub()
eventlet.sleep(0.01)
former = hub.greenlet
hub.abort(wait=True)
print(former.dead, hub.running)
print(eventlet.spawn(int).wait())
def inside():
    try:
        hub.abort(wait=True)
    except RuntimeError as error:
        print("abort()" in str(error))
hub.schedule_call_global(0, inside)
eventlet.sleep(0.01)
"""
    for driver in ("asyncio", "poll"):
        lines = in_process(run_isolated, driver, body)
        assert lines == ["True False", "0", "True"], driver


def test_closing_a_descriptor_wakes_its_readers():
    """notify_close() ends the wait with an error; the number can be used again."""
    left, right = socket.socketpair()
    number = left.fileno()
    log = []

    def read():
        try:
            trampoline(number, read=True)
        except OSError as error:
            log.append(type(error))

    greens = [eventlet.spawn(read)]
    eventlet.sleep(0)
    hubs.notify_close(number)
    left.close()
    greens[0].wait()
    assert len(log) == 1
    assert issubclass(log[0], OSError)
    again, other = socket.socketpair()
    if again.fileno() != number:
        os.dup2(again.fileno(), number)
    green = eventlet.spawn(trampoline, number, read=True)
    eventlet.sleep(0)
    other.send(b"x")
    with eventlet.Timeout(20):
        green.wait()
    for end in (right, other):
        end.close()
    if again.fileno() != number:
        os.close(number)
    again.close()


def test_regular_file_is_always_ready(tmp_path):
    """trampoline() of a regular file returns at once and leaves nothing behind."""
    path = tmp_path / "file"
    path.write_text("text")
    with path.open() as file:
        trampoline(file, read=True)
        trampoline(file.fileno(), write=True)
        assert hubs.get_hub().get_readers() == []


def test_listener_that_was_called_is_released():
    """Found ready by a green thread that leaves, it is called all the same, and kept by nobody."""
    left, right = socket.socketpair()
    hub = hubs.get_hub()
    called = eventlet.Event()

    class Callback:
        def __call__(self, fileno):
            hub.remove(listeners.pop())
            called.send(fileno)

    callback = Callback()
    listeners = [hub.add(hub.READ, left.fileno(), callback, callback)]
    right.send(b"x")
    assert called.wait() == left.fileno()
    gone = weakref.ref(callback)
    del callback
    gc.collect()
    assert gone() is None
    left.close()
    right.close()


@pytest.mark.parametrize("driver", ["asyncio", "poll"])
def test_second_reader_is_refused_unless_allowed(driver):
    """Two readers of one descriptor are an error, or are served in order of arrival."""
    hubs.use_hub(driver)
    left, right = socket.socketpair()
    log = []

    def read(name):
        trampoline(left, read=True)
        log.append((name, left.recv(1)))

    names = ["first", "second", "third"]
    first = eventlet.spawn(read, names[0])
    eventlet.sleep(0)
    with pytest.raises(RuntimeError, match="Second simultaneous read"):
        trampoline(left, read=True)
    debug.hub_prevent_multiple_readers(False)
    try:
        greens = [first, *(eventlet.spawn(read, name) for name in names[1:])]
        eventlet.sleep(0)
        for green, letter in zip(greens, "abc", strict=True):
            right.send(letter.encode())
            green.wait()
    finally:
        debug.hub_prevent_multiple_readers()
        hubs.use_hub("asyncio")
    assert log == [("first", b"a"), ("second", b"b"), ("third", b"c")]
    left.close()
    right.close()


def test_trampoline_times_out_with_what_was_asked_for():
    """timeout_exc may be a class or an instance."""
    left, right = socket.socketpair()
    with pytest.raises(eventlet.Timeout):
        trampoline(left, read=True, timeout=0.001)
    with pytest.raises(KeyError):
        trampoline(left, read=True, timeout=0.001, timeout_exc=KeyError)
    with pytest.raises(KeyError, match="mine"):
        trampoline(left, read=True, timeout=0.001, timeout_exc=KeyError("mine"))
    assert hubs.get_hub().get_readers() == []
    with pytest.raises(OSError, match="Bad file descriptor"):
        trampoline(10_000, read=True)
    left.close()
    right.close()


def test_listener_that_another_withdraws_is_not_called():
    """Both are found ready by one poll; the first one's callback takes back the other."""
    hub = eventlet.hubs.get_hub()
    pairs = [socket.socketpair() for _ in range(2)]
    seen, listeners = [], []

    def called(fileno):
        seen.append(fileno)
        for listener in listeners:
            hub.remove(listener)

    listeners += [hub.add(hub.READ, one.fileno(), called, called) for one, _ in pairs]
    for _, other in pairs:
        other.send(b"x")
    eventlet.sleep(0.01)
    assert len(seen) == 1
    for sock in (*pairs[0], *pairs[1]):
        sock.close()
