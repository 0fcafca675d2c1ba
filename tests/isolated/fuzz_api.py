"""
Random calls of everything native, with odd arguments, crash nothing and leak no stack, and
the hub is in order afterwards.

Among the arguments are numbers at their limits, wrong types, objects of all native classes and
of subclasses, and objects whose methods switch, kill, collect, or take away what is in use.
``STRESS_SECONDS`` says how long, ``STRESS_SEED`` which sequence, ``STRESS_LOG`` where to note
each call before it is made.
"""

import asyncio
import contextlib
import contextvars
import copy
import faulthandler
import gc
import os
import pickle
import random
import re
import socket
import sys
import time
import warnings
import weakref

import eventlet
import greenlet
from eventlet import hubs
from eventlet_asyncio import _core

SECONDS = float(os.environ.get("STRESS_SECONDS", "5"))
SEED = int(os.environ.get("STRESS_SEED", str(time.time_ns() % 1_000_000)))
LOG = os.environ.get("STRESS_LOG")

print("seed", SEED, flush=True)
chance = random.Random(SEED)
faulthandler.dump_traceback_later(SECONDS + 38, exit=True)
log = open(LOG, "w") if LOG else None  # noqa: SIM115 - open until the end
out = sys.stderr
over = False

# What changes the whole process, stops the OS thread, or is part of another call.
LEFT_OUT = {
    "_adopt",
    "_after_fork_in_child",
    "_after_fork_in_parent",
    "_before_fork",
    "_close",
    "_close_elsewhere",
    "_close_offload",
    "_install",
    "_lend",
    "_mark_in_loop",
    # A hub that is open and not installed would sleep with the OS thread.
    "_open",
    "_poll",
    "_set_copy_context",
    "_set_hub_factory",
    # A clock that stands, and what is asked before each sleep.
    "_set_idle_hook",
    "_set_time",
    "_set_visible_loop",
    "_take_back",
    "__class__",
    "__init_subclass__",
    "__subclasshook__",
    "await_child",
    "read_now",
    "run",
    "serve",
    "settrace",
}
RARE = {"abort", "throw"}


class Boom(Exception):
    """What is thrown at green threads."""


def mischief():
    """Do something that nobody expects in the middle of a call."""
    if over or mischief.depth > 3:
        return
    mischief.depth += 1
    try:
        chance.choice(DEEDS)()
    finally:
        mischief.depth -= 1


mischief.depth = 0


def take_away():
    thing = chance.choice(things)
    with contextlib.suppress(Exception):
        delattr(thing, chance.choice(("queue", "run", "seconds", "exception", "x")))


def raise_something():
    raise chance.choice((Boom, ValueError, TypeError, StopIteration, RecursionError))


DEEDS = [
    lambda: eventlet.sleep(0),
    lambda: eventlet.sleep(chance.random() / 1000),
    lambda: gc.collect(chance.randrange(3)),
    lambda: eventlet.kill(chance.choice(greens)),
    lambda: eventlet.spawn_n(act),
    lambda: things.pop(chance.randrange(len(things))) if len(things) > 50 else None,
    lambda: [bytearray(size) for size in range(16, 1024, 16)],
    lambda: chance.choice(events).send(1),
    lambda: chance.choice(queues).put_nowait(1),
    lambda: chance.choice(queues).get_nowait(),
    take_away,
    raise_something,
    lambda: None,
    lambda: None,
]


class Odd:
    """Answers every question with mischief, and then with anything."""

    def _answer(self, *args, **kwargs):
        mischief()
        return chance.choice(
            (0, 1, -1, 2**70, 0.5, "text", None, True, Odd(), (), ValueError)
        )

    def _number(self):
        mischief()
        return chance.choice((0, 1, -1, 5, 2**31, 2**63 - 1, -(2**63), 2**70))

    def __next__(self):
        mischief()
        if chance.random() < 0.3:
            raise StopIteration
        return chance.choice((0, ("a", "b"), None, Odd()))

    def __getitem__(self, key):
        mischief()
        if chance.random() < 0.3:
            raise IndexError(key)
        return chance.choice((0, ("a", "b"), None, Odd()))

    def __len__(self):
        mischief()
        # Nothing in between, for which CPython would make room.
        return chance.choice((0, 1, -1, 5, 2**63 - 1))

    def __float__(self):
        mischief()
        return chance.choice((0.0, -1.0, 0.001, float("nan"), float("inf"), 1e300))

    def __bool__(self):
        mischief()
        return chance.random() < 0.5

    def __str__(self):
        mischief()
        return "odd"

    def __hash__(self):
        mischief()
        return 1

    def __eq__(self, other):
        mischief()
        return chance.random() < 0.5

    def __del__(self):
        if chance.random() < 0.3:
            with contextlib.suppress(BaseException):
                mischief()

    __repr__ = __str__
    __index__ = __int__ = fileno = _number
    __call__ = __iter__ = keys = _answer
    __enter__ = __exit__ = __await__ = _fut_waiter = result = cancel = _answer


class OddTimeout(_core.Timeout):
    """Lies to the hub about whom to raise what in."""

    def _expire(self):
        mischief()
        return chance.choice((super()._expire(), (), (1, 2), pair(), None))


class OddEvent(_core.Event):
    """Does mischief before it is sent."""

    def send(self, *args, **kwargs):
        """Send after some mischief."""
        mischief()
        return super().send(*args, **kwargs)


class OddSemaphore(_core.Semaphore):
    """Does mischief before it is taken."""

    def acquire(self, *args, **kwargs):
        """Acquire after some mischief."""
        mischief()
        return super().acquire(*args, **kwargs)


class OddQueue(_core.Queue):
    """Lies about how many items it holds."""

    def _qsize(self):
        mischief()
        return chance.choice((super()._qsize(), 0, 1, -1, 2**62))

    def _get(self):
        mischief()
        return super()._get()


class OddGreenThread(_core.GreenThread):
    """Has a main() of its own."""

    def main(self, *args):
        """Run after some mischief."""
        mischief()
        return super().main(*args)


class OddGreenlet(_core.greenlet):
    """Answers anew what it runs, and acts when it dies."""

    @property
    def run(self):
        """What it runs, at each lookup another thing."""
        mischief()
        return chance.choice((act, mischief, 5, Odd()))

    def __del__(self):
        with contextlib.suppress(BaseException):
            mischief()


class SlottedGreenlet(_core.greenlet):
    """Is laid out in another way."""

    __slots__ = ("x",)


def pair():
    return chance.choice(things), chance.choice(things)


async def coroutine():
    mischief()
    await asyncio.sleep(0)
    mischief()
    return 1


def function(*args, **kwargs):
    mischief()
    return args


SUBCLASSES = [
    OddTimeout,
    OddEvent,
    OddSemaphore,
    OddQueue,
    OddGreenThread,
    OddGreenlet,
    SlottedGreenlet,
]
# Guests of libuv are made of addresses.
CLASSES = [
    it
    for name, it in vars(_core).items()
    if isinstance(it, type) and name != "_UvGuest"
] + SUBCLASSES
FUNCTIONS = [
    getattr(_core, name)
    for name in _core.__all__
    if name not in LEFT_OUT and callable(getattr(_core, name))
    # A name server may be asked, for as long as it likes.
    if not re.match("(await_)?get(host|addr|name)", name)
    if not isinstance(getattr(_core, name), type)
]
NAMES = [
    "timeout",
    "seconds",
    "block",
    "blocking",
    "item",
    "exc",
    "context",
    "msg",
    "x",
    "value",
]

left, right = socket.socketpair()
left.setblocking(False)
right.setblocking(False)
here = greenlet.getcurrent()
greens = [greenlet.greenlet()]
events = [_core.Event() for _ in range(3)]
queues = [_core.Queue(), _core.LightQueue(1), OddQueue(2)]
things = [
    *greens,
    *events,
    *queues,
    *SUBCLASSES,
    Odd(),
    _core.Semaphore(),
    _core.Timeout(),
]
VALUES = [
    *(
        0,
        1,
        -1,
        2,
        2**31 - 1,
        2**31,
        2**32,
        2**63 - 1,
        2**63,
        -(2**63),
        2**70,
        -(2**70),
    ),
    *(0.0, -0.5, 0.001, 1e-320, 1e18, 1e308, float("inf"), float("-inf"), float("nan")),
    *("", "text", "\x00", "\udc80", b"", b"bytes\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"),
    *(
        (),
        (1,),
        [],
        [("a", "b")],
        {},
        {"x": 1},
        {1: 2},
        set(),
        None,
        True,
        False,
        ...,
        range(3),
    ),
    *(
        Boom,
        Boom(),
        BaseException,
        GeneratorExit,
        KeyError("x"),
        greenlet.GreenletExit,
        int,
    ),
    *(
        function,
        mischief,
        id,
        memoryview(bytearray(50)),
        bytearray(10),
        contextvars.Context(),
    ),
    *(left.fileno(), right.fileno(), left, right, "200 OK"),
]


def value():
    """Return something to pass."""
    which = chance.random()
    if which < 0.5:
        return chance.choice(VALUES)
    if which < 0.6:
        return Odd()
    if which < 0.63:
        return coroutine()
    if which < 0.64:
        return here
    if which < 0.66:
        return hubs.get_hub()
    return chance.choice(things)


def keep(thing):
    """Use what a call has returned in later ones."""
    if thing is hubs.get_hub().greenlet:
        # With another parent its end would not be told to main, which may wait for it.
        return
    if isinstance(thing, (type, Odd)) or type(thing) in (*CLASSES, *map(type, things)):
        things.append(thing)
    if isinstance(thing, _core.greenlet) and thing is not here:
        greens.append(thing)


def call(function, *args, **kwargs):
    if log:
        print(
            getattr(function, "__qualname__", function), len(args), file=log, flush=True
        )
    with eventlet.Timeout(0.005, False):
        keep(function(*args, **kwargs))


def some():
    return [value() for _ in range(chance.choice((0, 0, 1, 1, 2, 2, 3, 4, 6)))]


def named():
    if chance.random() < 0.85:
        return {}
    return {chance.choice(NAMES): value() for _ in range(chance.randrange(1, 3))}


def call_function():
    call(chance.choice(FUNCTIONS), *some(), **named())


def call_method():
    thing = chance.choice((*things, hubs.get_hub()))
    name = chance.choice(dir(thing))
    rare = name in RARE and (isinstance(thing, _core.Hub) or thing is here)
    if name in LEFT_OUT or (rare and chance.random() < 0.9):
        return
    if isinstance(thing, _core.Hub) and not hasattr(_core.Hub, name):
        return
    member = getattr(thing, name)
    if callable(member):
        call(member, *some(), **named())


def make():
    call(chance.choice(CLASSES), *some(), **named())


def set_attribute():
    thing = chance.choice(things)
    if isinstance(thing, type):
        return
    name = chance.choice(dir(thing))
    if name not in LEFT_OUT:
        setattr(thing, name, value())


def delete_attribute():
    thing = chance.choice(things)
    if not isinstance(thing, type):
        delattr(thing, chance.choice(dir(thing)))


def change_class():
    chance.choice(things).__class__ = chance.choice(CLASSES)


def use_generally():
    uses = (
        repr,
        str,
        bool,
        hash,
        iter,
        next,
        len,
        copy.copy,
        pickle.dumps,
        weakref.ref,
        vars,
    )
    call(chance.choice(uses), chance.choice(things))


def compare():
    return chance.choice(things) == chance.choice(things)


def enter_context():
    with chance.choice(things):
        mischief()


def change_hub():
    """Replace the hub: from main, or main would be forgotten with all others that wait."""
    if greenlet.getcurrent() is here and chance.random() < 0.1:
        hubs.use_hub(chance.choice(("asyncio", "poll", "epolls")))
        hubs.get_hub().debug_exceptions = False


def act():
    """Make some calls; what they raise is nobody's business."""
    for _ in range(chance.randrange(1, 6)):
        if over:
            return
        with contextlib.suppress(BaseException):
            chance.choices(list(ACTS), list(ACTS.values()))[0]()


ACTS = {
    call_function: 30,
    call_method: 50,
    make: 15,
    set_attribute: 8,
    delete_attribute: 3,
    change_class: 3,
    use_generally: 8,
    compare: 2,
    enter_context: 4,
}


def rest(seconds):
    """Let others run, whatever they do to this green thread."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(BaseException):
            eventlet.sleep(0.001)


def fuzz():
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        try:
            greens.extend(eventlet.spawn(act) for _ in range(5))
            eventlet.sleep(chance.choice((0, 0.001)))
            change_hub()
            gc.set_threshold(chance.choice((1, 5, 700)))
            if len(greens) > 100:
                for green in greens[:50]:
                    eventlet.kill(green)
            del greens[50:]
            del things[60:]
            for event in events:
                if event.ready():
                    event.reset()
        except BaseException:
            continue


def suspended():
    """All greenlets that have begun and not ended, and are neither main nor the hub's."""
    known = (here, hubs.get_hub().greenlet)
    alive = [it for it in gc.get_objects() if issubclass(type(it), _core.greenlet)]
    return [it for it in alive if _core.greenlet.__bool__(it) and it not in known]


def wind_down():
    """End everything; True once nothing is left."""
    for green in suspended():
        with contextlib.suppress(BaseException):
            eventlet.kill(green)
    for population in (greens, events, queues, things):
        population.clear()
    gc.collect()
    rest(0.005)
    return not suspended() and _core._stack_statistics()["in_use"] <= 1


warnings.simplefilter("ignore")
sys.unraisablehook = lambda _: None
with open(os.devnull, "w") as sys.stderr:
    hubs.get_hub().debug_exceptions = False
    fuzz()
    over = True
    gc.set_threshold(700)
    rest(0.01)
    patience = time.monotonic() + 15
    while not wind_down() and time.monotonic() < patience:
        pass
sys.stderr = out
VALUES.clear()
assert wind_down(), (_core._stack_statistics(), suspended())
hubs.use_hub("asyncio")
assert eventlet.spawn(len, "abc").wait() == 3
start = time.monotonic()
eventlet.sleep(0.01)
assert time.monotonic() - start >= 0.01
event = _core.Event()
eventlet.spawn_after(0.001, event.send, 5)
assert event.wait() == 5
print("pass")
