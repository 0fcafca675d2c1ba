"""Promises of `eventlet.tpool`."""

from __future__ import annotations

import contextvars
import gc
import threading
import traceback
import weakref

import pytest

import eventlet
from eventlet import debug, tpool


@pytest.fixture(autouse=True)
def fresh_pool():
    """Leave no worker behind."""
    threads = tpool._nthreads
    yield
    tpool.killall()
    tpool.set_num_threads(threads)


def test_execute_runs_in_another_os_thread():
    assert tpool.execute(threading.get_native_id) != threading.get_native_id()


def test_execute_passes_arguments_and_result():
    assert tpool.execute(lambda a, *, b: (a, b), 1, b=2) == (1, 2)


def test_execute_lets_other_green_threads_run():
    """The call ends only if somebody else runs meanwhile."""
    go = threading.Event()
    eventlet.spawn(go.set)
    assert tpool.execute(go.wait, 10)


def test_execute_raises_with_the_workers_traceback():
    def culprit():
        raise LookupError("why")

    with pytest.raises(LookupError, match="why") as failed:
        tpool.execute(culprit)
    names = [frame.name for frame in traceback.extract_tb(failed.value.__traceback__)]
    assert names[-1] == "culprit"


@pytest.mark.parametrize(
    "error", [SystemExit(3), KeyboardInterrupt(), StopIteration(1), eventlet.Timeout()]
)
def test_execute_delivers_every_kind_of_exception(error):
    """None of them may end the worker, or leave the caller waiting."""

    def culprit():
        raise error

    tpool.set_num_threads(1)
    with pytest.raises(type(error)) as failed:
        tpool.execute(culprit)
    assert failed.value is error
    assert tpool.execute(int, 5) == 5


def test_calls_run_in_parallel_up_to_the_number_of_threads():
    tpool.set_num_threads(3)
    meeting = threading.Barrier(3)
    callers = [eventlet.spawn(tpool.execute, meeting.wait, 10) for _ in range(3)]
    assert sorted(thread.wait() for thread in callers) == [0, 1, 2]


def test_worker_keeps_its_thread_locals():
    tpool.set_num_threads(1)
    state = threading.local()

    def count():
        state.calls = getattr(state, "calls", 0) + 1
        return state.calls

    assert [tpool.execute(count) for _ in range(3)] == [1, 2, 3]


def test_execute_in_a_worker_runs_in_place():
    tpool.set_num_threads(1)

    def outer():
        return threading.get_native_id() == tpool.execute(threading.get_native_id)

    assert tpool.execute(outer)


def test_execute_in_a_workers_green_thread_runs_in_place():
    tpool.set_num_threads(1)

    def outer():
        return eventlet.spawn(tpool.execute, threading.get_native_id).wait()

    assert tpool.execute(outer) != threading.get_native_id()


def test_caller_that_times_out_leaves_the_call_alone():
    tpool.set_num_threads(1)
    go = threading.Event()
    ended = []

    def slow():
        go.wait(10)
        ended.append(True)

    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        tpool.execute(slow)
    go.set()
    assert tpool.execute(lambda: list(ended)) == [True]


def test_other_os_threads_can_use_the_pool():
    results = []
    thread = threading.Thread(target=lambda: results.append(tpool.execute(int, 7)))
    thread.start()
    tpool.execute(thread.join)
    assert results == [7]


def test_idle_worker_keeps_nothing_alive():
    class Value:
        pass

    def use(value):
        return None

    tpool.set_num_threads(1)
    value = Value()
    gone = weakref.ref(value)
    tpool.execute(use, value)
    tpool.execute(int)
    del value
    gc.collect()
    assert gone() is None


def test_killall_finishes_calls_and_delivers_their_outcomes():
    go = threading.Event()

    def slow():
        go.wait(10)
        return 5

    caller = eventlet.spawn(tpool.execute, slow)
    eventlet.sleep(0)
    eventlet.spawn(go.set)
    workers = list(tpool._threads)
    tpool.killall()
    assert not any(thread.is_alive() for thread in workers)
    assert caller.wait() == 5


def test_pool_starts_again_after_killall():
    assert tpool.execute(int, 1) == 1
    tpool.killall()
    assert tpool.execute(int, 2) == 2


def test_call_made_while_killall_waits_goes_to_new_workers():
    tpool.set_num_threads(1)
    go = threading.Event()
    slow = eventlet.spawn(tpool.execute, go.wait, 10)
    eventlet.sleep(0)
    killer = eventlet.spawn(tpool.killall)
    eventlet.sleep(0)
    assert tpool.execute(int, 3) == 3
    go.set()
    assert (slow.wait(), killer.wait()) == (True, None)


def test_killall_in_a_worker_is_refused():
    with pytest.raises(RuntimeError, match="wait for itself"):
        tpool.execute(tpool.killall)


def test_number_of_threads_comes_from_the_environment(run_isolated):
    code = "from eventlet import tpool; tpool.setup(); print(len(tpool._threads))"
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_THREADPOOL_SIZE": "3"}
    assert run_isolated(code, env).stdout == "3\n"


def test_no_threads_means_calls_in_place_and_a_warning():
    tpool.set_num_threads(0)
    with pytest.warns(RuntimeWarning, match="EVENTLET_THREADPOOL_SIZE"):
        ident = tpool.execute(threading.get_native_id)
    assert ident == threading.get_native_id()


def test_no_threads_by_the_environment_means_calls_in_place(run_isolated):
    code = """
import threading
from eventlet import tpool
print(tpool.execute(threading.get_native_id) == threading.get_native_id())
print(tpool.Proxy([5])[0], threading.active_count())
tpool.killall()
"""
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_THREADPOOL_SIZE": "0"}
    done = run_isolated(code, env)
    assert done.stdout == "True\n5 1\n"
    assert done.stderr.count("EVENTLET_THREADPOOL_SIZE") == 1


def test_negative_number_of_threads_is_refused():
    tpool.set_num_threads(-1)
    with pytest.raises(AssertionError, match="EVENTLET_THREADPOOL_SIZE"):
        tpool.execute(int)


@pytest.mark.parametrize("value", ["-1", "many", ""])
def test_number_of_threads_that_makes_no_sense_is_named(run_isolated, value):
    """In the environment; a program that does not use the pool runs all the same."""
    code = """
import eventlet
eventlet.sleep(0)
try:
    from eventlet import tpool
    tpool.execute(int)
except (AssertionError, ValueError) as error:
    print(error)
"""
    env = {"EVENTLET_HUB": "asyncio", "EVENTLET_THREADPOOL_SIZE": value}
    assert "EVENTLET_THREADPOOL_SIZE" in run_isolated(code, env).stdout


def test_forked_child_gets_workers_of_its_own(run_isolated):
    code = """
import os
from eventlet import tpool
assert tpool.execute(int, 1) == 1
pid = os.fork()
if not pid:
    os._exit(tpool.execute(int, 7))
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), tpool.execute(int, 2))
"""
    assert run_isolated(code, {"EVENTLET_HUB": "asyncio"}).stdout == "7 2\n"


def test_child_forked_in_a_worker_can_use_the_pool(run_isolated):
    """The only OS thread of the child is a worker of the parent's pool."""
    code = """
import os
from eventlet import tpool

def fork():
    pid = os.fork()
    if not pid:
        status = 9
        try:
            status = tpool.execute(int, 7)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

print(tpool.execute(fork), tpool.execute(int, 2))
"""
    assert run_isolated(code, {"EVENTLET_HUB": "asyncio"}).stdout == "7 2\n"


def test_child_forked_while_workers_are_busy_is_not_kept_by_them(run_isolated):
    code = """
import os
import eventlet
from eventlet import tpool
from eventlet.patcher import original

go = original("threading").Event()
busy = eventlet.spawn(tpool.execute, go.wait, 30)
eventlet.sleep(0)
pid = os.fork()
if not pid:
    status = 9
    try:
        tpool.killall()
        status = tpool.execute(int, 7)
    finally:
        os._exit(status)
print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
go.set()
print(busy.wait())
"""
    assert run_isolated(code, {"EVENTLET_HUB": "asyncio"}).stdout == "7\nTrue\n"


def test_process_ends_although_workers_are_idle(run_isolated):
    code = """
import eventlet
from eventlet import tpool
tpool.execute(abs, 1)
print("end")
"""
    assert run_isolated(code, {"EVENTLET_HUB": "asyncio"}).stdout == "end\n"


def test_failures_are_printed_on_request(capsys):
    debug.tpool_exceptions(True)
    try:
        with pytest.raises(ZeroDivisionError):
            tpool.execute(lambda: 1 / 0)
    finally:
        debug.tpool_exceptions(False)
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_calls_see_the_callers_context_and_keep_their_own():
    """As with `asyncio.to_thread`: a copy of the context of whoever calls."""
    variable = contextvars.ContextVar("variable")
    variable.set("caller's")

    class Held:
        def method(self):
            return variable.get()

    def call():
        seen = variable.get()
        variable.set("call's")
        return seen

    def in_green_thread():
        variable.set("green thread's")
        return tpool.execute(call), variable.get()

    assert tpool.execute(call) == "caller's"
    assert tpool.Proxy(Held()).method() == "caller's"
    assert eventlet.spawn(in_green_thread).wait() == ("green thread's",) * 2
    assert variable.get() == "caller's"


def test_workers_are_traced_and_profiled_as_other_threads():
    """By what `threading` was told, although a copy of that module starts them."""
    calls = []

    def note(frame, event, _arg):
        calls.append((event, frame.f_code.co_name))

    def named():
        return 1

    threading.settrace(note)
    threading.setprofile(note)
    try:
        tpool.execute(named)
    finally:
        threading.settrace(None)
        threading.setprofile(None)
    assert calls.count(("call", "named")) == 2
    assert ("return", "named") in calls
