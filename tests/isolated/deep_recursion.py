"""Endless recursion of every kind ends in RecursionError in a green thread."""

import collections
import copy
import ctypes
import functools
import io
import json
import os
import pickle
import re
import sqlite3
import struct
import sys

import eventlet

KINDS = {}


def kind(function):
    KINDS[function.__name__] = function
    return function


def nested():
    """A list in a list in a list: deeper than any recursion limit here."""
    value = []
    for _ in range(200_000):
        value = [value]
    return value


@kind
def python_call():
    python_call()


@kind
def generators():
    def descend():
        yield from descend()

    list(descend())


@kind
def constructor():
    class Again:
        def __init__(self):
            Again()

    Again()


@kind
def attribute():
    class Again:
        def __getattr__(self, name):
            return getattr(self, name + "x")

    Again().x  # noqa: B018 - the lookup is the point


@kind
def property_of():
    class Again:
        @property
        def x(self):
            return self.x

    Again().x  # noqa: B018 - as above


@kind
def item():
    class Again(dict):
        def __missing__(self, key):
            return self[key]

    Again()[1]


@kind
def representation():
    repr(nested())


@kind
def own_representation():
    class Again:
        def __repr__(self):
            return repr([self, Again()])

    repr(Again())


@kind
def equality():
    return nested() == nested()


@kind
def hashing():
    class Again:
        def __hash__(self):
            return hash((self,))

    hash(Again())


@kind
def json_dumps():
    json.dumps(nested())


@kind
def json_loads():
    json.loads("[" * 200_000)


@kind
def pickle_dumps():
    pickle.dumps(nested())


@kind
def pickle_reduce():
    class Again:
        def __reduce__(self):
            return Again, (pickle.dumps(Again()),)

    pickle.dumps(Again())


@kind
def deepcopy():
    copy.deepcopy(nested())


@kind
def evaluate():
    eval("evaluate()", {"evaluate": evaluate})


@kind
def execute():
    exec("execute()", {"execute": execute})


@kind
def summing():
    class Again:
        def __radd__(self, other):
            return sum([self])

    sum([Again()])


@kind
def sorting_by_key():
    def key(_value):
        return sorted([1], key=key)

    key(1)


@kind
def sorting_by_order():
    class Again:
        def __lt__(self, other):
            [Again(), Again()].sort()
            return True

    [Again(), Again()].sort()


@kind
def substitution():
    def replace(_match):
        return re.sub("x", replace, "x")

    re.sub("x", replace, "x")


@kind
def formatting():
    class Again:
        def __format__(self, spec):
            return f"{self}"

    format(Again())


@kind
def percent_formatting():
    class Again:
        def __str__(self):
            return "%s" % self  # noqa: UP031 - the operator is the point

    str(Again())


@kind
def printing():
    class Again(io.StringIO):
        def write(self, text):
            print(text, file=self)

    print("x", file=Again())


@kind
def path():
    class Again:
        def __fspath__(self):
            return os.fspath(Again())

    os.fspath(Again())


@kind
def index():
    class Again:
        def __index__(self):
            return struct.unpack("i", struct.pack("i", Again()))[0]

    struct.pack("i", Again())


@kind
def mapping():
    def again(_value):
        return list(map(again, [1]))

    again(1)


@kind
def reducing():
    def again(_one, _two):
        return functools.reduce(again, [1, 2])

    again(1, 2)


@kind
def partial():
    def again():
        return functools.partial(again)()

    again()


@kind
def cached():
    @functools.cache
    def again(n):
        return again(n + 1)

    again(0)


@kind
def instance_check():
    class Meta(type):
        def __instancecheck__(cls, instance):
            return isinstance(instance, cls)

    class Again(metaclass=Meta):
        pass

    isinstance(1, Again)


@kind
def class_body():
    def again():
        type("Class", (), {})()
        return type("Meta", (type,), {"__call__": lambda *_: again()})("C", (), {})()

    again()


@kind
def default_dictionary():
    def again():
        return collections.defaultdict(again)[1]

    again()


@kind
def contextmanager():
    class Again:
        def __enter__(self):
            with Again():
                pass

        def __exit__(self, *_):
            pass

    with Again():
        pass


@kind
def exception_handler():
    def again():
        try:
            raise ValueError
        except ValueError:
            again()

    again()


@kind
def c_callback():
    order = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
    libc = ctypes.CDLL(None)

    @order
    def again(_one, _two):
        noted.append(probe(sort))
        return 0

    def sort():
        libc.qsort((ctypes.c_int * 2)(2, 1), 2, 4, again)

    # What a callback raises does not reach its caller; the limit is met in the call
    # of the callback, or in what it does.
    unraisable, sys.unraisablehook = sys.unraisablehook, lambda _hint: None
    try:
        sort()
    finally:
        sys.unraisablehook = unraisable
    assert len(noted) > 50, len(noted)
    raise RecursionError


@kind
def sql_function():
    connection = sqlite3.connect(":memory:")

    def again():
        noted.append(probe(lambda: connection.execute("select again()").fetchall()))
        return 1

    connection.create_function("again", 0, again)
    again()
    connection.close()
    # sqlite3 keeps from its caller what the function raised.
    assert isinstance(noted[0], (RecursionError, sqlite3.OperationalError)), noted[0]
    assert len(noted) > 50, len(noted)
    raise RecursionError


noted = []


def probe(function):
    """Return what the function raises."""
    try:
        function()
    except BaseException as error:
        return error
    return None


def one_by_one():
    for name, function in KINDS.items():
        noted.clear()
        error = eventlet.spawn(probe, function).wait()
        assert isinstance(error, RecursionError), f"{name}: {error!r}"


def several_at_once():
    """Green threads that are all deep at the same time leave each other intact."""
    crowd = 20
    deep = []

    def descend(number):
        depth = 0

        class Again:
            def __lt__(self, other):
                nonlocal depth
                depth += 1
                here = (number, depth)
                try:
                    # At the limit these calls, and comparisons on 3.10, are one too many.
                    if depth % 50 == 0:
                        deep.append(number)
                        eventlet.sleep(0)
                    [Again(), Again()].sort()
                finally:
                    depth -= 1
                    assert here[0] == number
                return True

        return probe([Again(), Again()].sort), depth

    outcomes = [eventlet.spawn(descend, number) for number in range(crowd)]
    for green in outcomes:
        error, depth = green.wait()
        assert isinstance(error, RecursionError), error
        assert depth == 0
    # They took turns, so all were deep together.
    assert deep[:crowd] == list(range(crowd))


one_by_one()
several_at_once()
assert eventlet.spawn(lambda: "alive").wait() == "alive"
print("pass")
