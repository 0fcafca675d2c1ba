"""Promises of `eventlet.tpool`."""

# ruff: noqa: D102 - the methods of test objects say what they record

from __future__ import annotations

import copy
import gc
import subprocess
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


def test_negative_number_of_threads_is_refused():
    tpool.set_num_threads(-1)
    with pytest.raises(AssertionError, match="EVENTLET_THREADPOOL_SIZE"):
        tpool.execute(int)


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


def test_process_ends_although_workers_are_busy(run_isolated):
    code = """
import threading, time
import eventlet
from eventlet import tpool
eventlet.spawn(tpool.execute, time.sleep, 600)
eventlet.sleep(0)
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


class Recorder:
    """Says in which OS thread it was used."""

    limit = 3

    def __init__(self):
        self.value = 1

    def where(self):
        return threading.get_native_id()

    def __enter__(self):
        return self.where()

    def __exit__(self, *exc):
        self.left = self.where()

    def __getitem__(self, key):
        return self.where()

    def __len__(self):
        return 2

    def __contains__(self, item):
        return item == "in"

    def __iter__(self):
        yield self.where()

    def __add__(self, other):
        return self.where()

    def __radd__(self, other):
        return self.where()

    def __neg__(self):
        return self.where()

    def __call__(self):
        return self.where()


@pytest.mark.parametrize(
    "use",
    [
        lambda proxy: proxy.where(),
        lambda proxy: proxy(),
        lambda proxy: proxy["key"],
        lambda proxy: proxy + 1,
        lambda proxy: 1 + proxy,
        lambda proxy: -proxy,
        lambda proxy: next(iter(proxy)),
    ],
    ids=["method", "call", "item", "operator", "reflected", "unary", "iteration"],
)
def test_proxy_uses_the_object_in_an_os_thread(use):
    assert use(tpool.Proxy(Recorder())) != threading.get_native_id()


def test_proxy_works_as_a_context_manager():
    recorder = Recorder()
    with tpool.Proxy(recorder) as entered:
        assert entered != threading.get_native_id()
    assert recorder.left != threading.get_native_id()


def test_proxy_answers_len_and_in():
    proxy = tpool.Proxy(Recorder())
    assert (len(proxy), "in" in proxy, "out" in proxy) == (2, True, False)


def test_proxy_sets_attributes_the_object_has_on_the_object():
    recorder = Recorder()
    proxy = tpool.Proxy(recorder)
    proxy.value = 5
    proxy.note = "mine"
    assert (recorder.value, hasattr(recorder, "note")) == (5, False)
    assert (proxy.value, proxy.note) == (5, "mine")


def test_proxy_deletes_and_sets_items():
    items = {"a": 1}
    proxy = tpool.Proxy(items)
    proxy["b"] = 2
    del proxy["a"]
    assert items == {"b": 2}


def test_proxy_updating_a_mutable_object_stays_a_proxy():
    items = [1]
    proxy = alias = tpool.Proxy(items)
    proxy += [2]
    assert proxy is alias
    assert items == [1, 2]


def test_proxy_updating_an_immutable_object_gives_the_result():
    number = tpool.Proxy(3)
    number += 4
    assert number == 7


def test_proxy_compares_and_hashes_as_its_object():
    two, three = tpool.Proxy(2), tpool.Proxy(3)
    assert two == 2
    assert two != three
    assert two < three <= tpool.Proxy(3)
    assert three > 2 >= two
    assert hash(two) == hash(2)
    assert {2: "found"}[two] == "found"


def test_proxy_converts_as_its_object():
    proxy = tpool.Proxy(3)
    assert (int(proxy), float(proxy), str(proxy), repr(proxy)) == (3, 3.0, "3", "3")
    assert f"{proxy:02d}" == "03"
    assert ["a", "b", "c", "d"][proxy] == "d"
    assert not tpool.Proxy([])


def test_proxy_is_an_iterator_exactly_if_its_object_is():
    iterator = tpool.Proxy(iter("ab"))
    assert iter(iterator) is iterator
    assert (next(iterator), iterator.next()) == ("a", "b")
    with pytest.raises(StopIteration):
        next(iterator)
    again = tpool.Proxy("ab")
    assert [list(again), list(again)] == [["a", "b"]] * 2


def test_proxy_of_an_exception_class_can_be_caught():
    module = tpool.Proxy(subprocess)
    error, caught = subprocess.SubprocessError("x"), []
    try:
        raise error
    except module.SubprocessError as same:
        caught.append(same)
    assert caught == [error]


def test_proxy_wraps_by_type_and_by_name():
    proxy = tpool.Proxy({"a": [1]}, autowrap=(list,), autowrap_names=("copy",))
    assert type(proxy["a"]) is tpool.Proxy
    assert type(proxy.get("a")) is tpool.Proxy
    assert type(proxy.copy()) is tpool.Proxy
    assert type(proxy.get("b", 1)) is int


def test_proxy_call_can_be_made_in_place():
    here = tpool.proxy_call((), threading.get_native_id, nonblocking=True)
    assert here == threading.get_native_id()


def test_proxy_copies_its_object():
    items = [[1]]
    shallow, deep = copy.copy(tpool.Proxy(items)), copy.deepcopy(tpool.Proxy(items))
    items[0].append(2)
    items.append(3)
    assert (shallow, deep) == ([[1, 2]], [[1]])
    assert type(shallow) is type(deep) is tpool.Proxy


def test_proxy_without_an_object_has_no_attributes():
    """As `copy` and `pickle` make it, before they fill it."""
    with pytest.raises(AttributeError):
        _ = tpool.Proxy.__new__(tpool.Proxy)._obj
