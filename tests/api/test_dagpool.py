"""Promises of `eventlet.dagpool` beyond its documented examples."""

from __future__ import annotations

import contextlib
import copy
import pickle

import pytest

import eventlet
import greenlet
from eventlet import debug
from eventlet.dagpool import Collision, DAGPool, PropagateError


def collect(key, results):
    return dict(results)


def fail(key, results):
    raise LookupError(key)


def test_results_reach_each_consumer_once():
    pool = DAGPool({"a": 1})
    pool.spawn("d", "bc", collect)
    pool.spawn("b", "a", collect)
    pool.spawn("c", "a", collect)
    assert pool["d"] == {"b": {"a": 1}, "c": {"a": 1}}


def test_depends_may_come_from_a_generator_and_repeat_keys():
    pool = DAGPool({"a": 1})
    pool.spawn("b", (key for key in "aa"), lambda key, results: list(results))
    assert pool["b"] == [("a", 1)]


def test_results_come_in_order_of_availability():
    pool = DAGPool()
    each = pool.wait_each("abc")
    for key in "cab":
        pool.post(key, key.upper())
    assert list(each) == [("c", "C"), ("a", "A"), ("b", "B")]


def test_wait_each_knows_its_keys_from_the_call_on():
    pool = DAGPool({"a": 1})
    each = pool.wait_each()
    pool.post("b", 2)
    assert list(each) == [("a", 1)]


def test_consumer_interrupted_while_waiting_misses_nothing():
    pool = DAGPool()
    each = pool.wait_each("ab")
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.01):
        next(pool.wait_each("a"))
    pool.post("a", 1)
    pool.post("b", 2)
    assert dict(each) == {"a": 1, "b": 2}


def test_getitem_waits_for_a_key_nobody_has_spawned_yet():
    pool = DAGPool()
    waiting = eventlet.spawn(pool.__getitem__, "later")
    eventlet.sleep(0)
    pool.post("later", 5)
    assert waiting.wait() == 5


def test_post_by_its_own_green_thread_is_seen_before_it_ends():
    pool = DAGPool()
    finish = eventlet.Event()

    def early(key, results):
        pool.post(key, "early")
        finish.wait()
        return "late"

    pool.spawn("a", (), early)
    assert pool["a"] == "early"
    assert pool.running_keys() == ("a",)
    with pytest.raises(Collision):
        pool.spawn("a", (), early)
    finish.send()
    eventlet.sleep(0)
    assert (pool.running(), pool.get("a")) == (0, "early")


def test_failure_after_an_early_post_is_reported(capsys):
    pool = DAGPool()

    def early(key, results):
        pool.post(key, 1)
        raise LookupError("too late")

    debug.hub_exceptions(True)
    pool.spawn("a", (), early)
    assert pool["a"] == 1
    eventlet.sleep(0)
    assert "too late" in capsys.readouterr().err
    assert pool.running() == 0


def test_post_for_a_running_green_thread_is_refused_even_to_replace():
    pool = DAGPool()
    pool.spawn("a", (), collect)
    with pytest.raises(Collision, match="running"):
        pool.post("a", 1, replace=True)


def test_killed_key_is_waited_for_until_posted():
    pool = DAGPool()
    entered = eventlet.Event()

    def block(key, results):
        entered.send()
        eventlet.Event().wait()

    pool.spawn("a", (), block)
    waiting = eventlet.spawn(pool.wait, "a")
    entered.wait()
    pool.kill("a")
    assert pool.running() == 0
    pool.post("a", 1)
    assert waiting.wait() == {"a": 1}


def test_killed_green_thread_that_survives_changes_nothing():
    pool = DAGPool()
    entered = eventlet.Event()
    go = eventlet.Event()

    def stubborn(key, results):
        with contextlib.suppress(greenlet.GreenletExit):
            entered.send()
            eventlet.Event().wait()
        go.wait()
        return "old"

    pool.spawn("a", (), stubborn)
    entered.wait()
    pool.kill("a")
    pool.spawn("a", (), lambda key, results: "new")
    go.send()
    assert pool["a"] == "new"
    eventlet.sleep(0)
    assert (pool.get("a"), pool.running()) == ("new", 0)


def test_timeout_in_a_green_thread_reaches_its_consumers():
    """A Timeout is no Exception; consumers must not wait for ever."""
    pool = DAGPool()

    def late(key, results):
        with eventlet.Timeout(0):
            eventlet.Event().wait()

    pool.spawn("a", (), late)
    pool.spawn("b", "a", collect)
    with pytest.raises(PropagateError) as failed:
        pool["b"]
    assert isinstance(failed.value.exc.exc, eventlet.Timeout)


def test_failures_and_successes_can_be_told_apart():
    pool = DAGPool({"ok": 1})
    pool.spawn("bad", (), fail)
    pool.spawn("worse", ["bad"], collect)
    assert list(pool.wait_each_success()) == [("ok", 1)]
    failures = dict(pool.wait_each_exception())
    assert set(failures) == {"bad", "worse"}
    assert failures["worse"].exc is failures["bad"]


def test_propagate_error_names_the_whole_path():
    error = PropagateError("b", PropagateError("a", LookupError("why")))
    assert str(error) == (
        "PropagateError(b): PropagateError: PropagateError(a): LookupError: why"
    )
    assert str(PropagateError("a", LookupError())) == "PropagateError(a): LookupError"


@pytest.mark.parametrize(
    "duplicate", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))]
)
def test_propagate_error_can_be_copied(duplicate):
    same = duplicate(PropagateError("a", LookupError("why")))
    assert (same.key, str(same)) == ("a", "PropagateError(a): LookupError: why")


def test_waiting_for_tells_what_is_missing():
    pool = DAGPool({"a": 1})
    pool.spawn("c", "ab", collect)
    assert pool.waiting_for() == {"c": {"b"}}
    assert pool.waiting_for("c") == {"b"}
    assert pool.waiting_for("a") == set()
    with pytest.raises(KeyError):
        pool.waiting_for("b")
    assert pool.waiting() == 1
    pool.post("b", 2)
    assert (pool.waiting(), pool.waiting_for()) == (0, {})
