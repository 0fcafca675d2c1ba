"""Promises of `eventlet.tpool.Proxy`: objects used in OS threads."""

# ruff: noqa: D102 - the methods of test objects say what they record

from __future__ import annotations

import copy
import math
import operator
import subprocess
import threading

import pytest

import eventlet
from eventlet import tpool


@pytest.fixture(autouse=True)
def no_workers_left():
    """Leave no worker behind."""
    yield
    tpool.killall()


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


class Number:
    """Answers each operator with its name, its operands and the OS thread."""


ARITHMETIC = (
    "add sub mul matmul truediv floordiv mod divmod pow lshift rshift and xor or"
)
UNARY = "neg pos abs invert round trunc floor ceil reversed"


def _operator(name):
    def method(self, *others):
        return name, others, threading.get_native_id()

    return method


for _name in ARITHMETIC.split():
    setattr(Number, f"__{_name}__", _operator(_name))
    setattr(Number, f"__r{_name}__", _operator(f"r{_name}"))
    if _name != "divmod":
        setattr(Number, f"__i{_name}__", _operator(f"i{_name}"))
for _name in UNARY.split():
    setattr(Number, f"__{_name}__", _operator(_name))


def function(name):
    """Return what applies the operator of this name."""
    if name == "divmod":
        return divmod
    return getattr(operator, f"__{name}__")


@pytest.mark.parametrize("name", ARITHMETIC.split())
def test_proxy_has_every_binary_operator(name):
    """On either side, with another proxy, and in place: always in an OS thread."""
    proxy, here = tpool.Proxy(Number()), threading.get_native_id()
    done, others, where = function(name)(proxy, 5)
    assert (done, others, where == here) == (name, (5,), False)
    done, others, where = function(name)(proxy, tpool.Proxy(5))
    assert (done, others, where == here) == (name, (5,), False)
    done, others, where = function(name)(5, proxy)
    assert (done, others, where == here) == (f"r{name}", (5,), False)
    if name != "divmod":
        done, others, where = function(f"i{name}")(proxy, 5)
        assert (done, others, where == here) == (f"i{name}", (5,), False)


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("neg", operator.neg),
        ("pos", operator.pos),
        ("abs", abs),
        ("invert", operator.invert),
        ("round", round),
        ("trunc", math.trunc),
        ("floor", math.floor),
        ("ceil", math.ceil),
        ("reversed", reversed),
    ],
)
def test_proxy_has_every_unary_operator(name, use):
    done, others, where = use(tpool.Proxy(Number()))
    assert (done, others) == (name, ())
    assert where != threading.get_native_id()


def test_proxy_operators_take_their_further_arguments():
    proxy = tpool.Proxy(7)
    assert pow(proxy, 2, 5) == 4
    assert round(tpool.Proxy(2.345), 1) == 2.3
    assert round(tpool.Proxy(2.5)) == 2
    assert list(reversed(tpool.Proxy([1, 2]))) == [2, 1]


@pytest.mark.parametrize(
    "use",
    [lambda proxy: proxy + "x", lambda proxy: "x" - proxy],
    ids=["left", "right"],
)
def test_proxy_operator_that_its_object_has_not_is_a_type_error(use):
    with pytest.raises(TypeError, match=r"operand|concatenate"):
        use(tpool.Proxy(1))


def test_proxy_of_text_and_bytes_converts():
    assert bytes(tpool.Proxy(b"x")) == b"x"
    assert complex(tpool.Proxy(2j)) == 2j
    assert "upper" in dir(tpool.Proxy("x"))


def test_proxy_lets_other_green_threads_run_while_it_waits():
    """Each use ends only if somebody else runs meanwhile."""
    gate = threading.Event()

    class Waits:
        def _wait(self, *_others):
            assert gate.wait(30)
            gate.clear()
            return 1

        __add__ = __getitem__ = __call__ = __len__ = method = _wait

    proxy = tpool.Proxy(Waits())
    uses = (
        *(lambda: proxy + 1, lambda: proxy[0], proxy, lambda: len(proxy)),
        proxy.method,
    )
    for use in uses:
        eventlet.spawn(gate.set)
        assert use() == 1


def test_proxy_raises_what_its_object_raises_with_the_place():
    class Fails:
        def __getitem__(self, key):
            raise LookupError(key)

    with pytest.raises(LookupError, match="7") as failed:
        tpool.Proxy(Fails())[7]
    assert failed.traceback[-1].name == "__getitem__"


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


def test_proxy_wraps_what_it_iterates_over_and_computes():
    proxy = tpool.Proxy([[1], (2,)], autowrap=(list,))
    assert [type(item) for item in proxy] == [tpool.Proxy, tuple]
    assert type(operator.add(proxy, [3])) is tpool.Proxy
    inner = proxy[0]
    inner.append(2)
    assert inner == [1, 2]


def test_proxy_wraps_attributes_by_type_and_by_name():
    class Holder:
        def __init__(self):
            self.rows, self.name, self.other = [1], "x", "y"

        def __call__(self):
            return "called"

    proxy = tpool.Proxy(Holder(), (list,), ("name", "__call__"))
    assert type(proxy.rows) is tpool.Proxy
    assert type(proxy.name) is tpool.Proxy
    assert type(proxy.other) is str
    assert type(proxy()) is tpool.Proxy


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
