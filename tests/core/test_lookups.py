"""
Lookups on threads of the engine: who waits, how many run, what a fork and the end do.

Lookups are held up by a library that stands before the system's resolver: each one of
a name that begins with ``held`` takes a byte from a pipe.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "data" / "held_lookups.c"

PRELUDE = """
import os, sys, threading, time, warnings
# What CPython 3.12 and later say of a fork is what is tested here.
warnings.filterwarnings("ignore", "This process .* is multi-threaded")
import eventlet
from eventlet.support import _resolver
from eventlet_asyncio import _core

TAP, SPOUT = os.pipe()
os.environ["HELD_LOOKUPS"] = str(TAP)

def address(host):
    return _resolver.gethostbyname(host)

def counted():
    return tuple(map(int, address("count").split(".")[1:]))

def until(condition):
    while not condition():
        eventlet.sleep(0.001)

def running(number):
    until(lambda: counted()[0] == number)

def let_go(number=1):
    os.write(SPOUT, b"." * number)
"""


@pytest.fixture(scope="session")
def holding(tmp_path_factory):
    """Compile the library; return the variable that loads it."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = tmp_path_factory.mktemp("held") / "held_lookups.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"], check=True
    )
    return {"LD_PRELOAD": str(library)}


@pytest.fixture
def run_held(holding, run_isolated):
    """Run a program whose lookups are held up; return the last line that it prints."""

    def run(program, lookups=4, loop=""):
        env = {
            "EVENTLET_HUB": "asyncio",
            "EVENTLET_ASYNCIO_LOOKUPS": str(lookups),
            "EVENTLET_ASYNCIO_LOOP": loop,
        }
        done = run_isolated(PRELUDE + program, env | holding)
        assert done.stderr == ""
        return done.stdout.rpartition("\n")[0].rpartition("\n")[2]

    return run


def test_lookup_lets_other_green_threads_run(run_held):
    """While a name is looked up others go on, and the answer reaches who asked."""
    assert (
        run_held("""
green = eventlet.spawn(address, "held")
running(1)
assert not green.dead
let_go()
assert green.wait() == "127.0.0.1"
print("pass")
""")
        == "pass"
    )


def test_killed_lookup_ends_at_once_and_its_answer_is_dropped(run_held):
    """A kill and a Timeout end the wait; the thread's answer disturbs nobody later."""
    assert (
        run_held("""
green = eventlet.spawn(address, "held")
running(1)
green.kill()
try:
    green.wait()
except _core.GreenletExit:
    print("killed")
try:
    with eventlet.Timeout(0.01):
        address("held")
except eventlet.Timeout:
    print("timed out")
assert counted()[0] == 2
let_go(2)
running(0)
assert eventlet.sleep(0) is None
print("pass")
""")
        == "pass"
    )


def test_lookup_that_nobody_waits_for_is_never_begun(run_held):
    """A lookup given up before its turn does not come to the resolver."""
    assert (
        run_held("""
first = [eventlet.spawn(address, "held") for _ in range(3)]
running(3)
# The fourth thread is for counting: what follows has to wait for a turn.
fourth = eventlet.spawn(address, "held")
eventlet.sleep(0)
waiting = [eventlet.spawn(address, "held") for _ in range(5)]
eventlet.sleep(0)
for green in waiting:
    green.kill()
let_go(4)
for green in (*first, fourth):
    assert green.wait() == "127.0.0.1"
still, _, began = counted()
assert (still, began) == (0, 4)
print("pass")
""")
        == "pass"
    )


def test_lookups_are_limited_in_number(run_held):
    """Ten thousand lookups take as many threads as are allowed, and all are answered."""
    assert (
        run_held("""
def threads():
    return len(os.listdir("/proc/self/task"))

before = threads()
greens = [eventlet.spawn(address, "held") for _ in range(10_000)]
most = [0]

def feed():
    for _ in range(100):
        let_go(100)
        most[0] = max(most[0], threads())
        eventlet.sleep(0)

feeder = eventlet.spawn(feed)
assert {green.wait() for green in greens} == {"127.0.0.1"}
feeder.wait()
_, at_a_time, _ = counted()
assert at_a_time <= 4
assert most[0] <= before + 4, most
print("pass")
""")
        == "pass"
    )


def test_process_ends_with_lookups_under_way(run_held):
    """A resolver that does not answer holds up neither the end nor its status."""
    assert (
        run_held("""
from eventlet import asyncio as green_asyncio
import asyncio

async def wait_for_ever():
    await green_asyncio.getaddrinfo("held", 80)

eventlet.spawn(address, "held")
green_asyncio.spawn_for_awaitable(wait_for_ever())
running(2)
print("pass")
""")
        == "pass"
    )


def test_killed_waiters_leave_at_the_end_while_the_answer_arrives(run_held):
    """Answers that arrive while the interpreter ends crash nothing."""
    assert (
        run_held(
            """
from eventlet import asyncio as green_asyncio

async def wait_for_ever():
    await green_asyncio.getaddrinfo("held", 80)

for _ in range(2):
    eventlet.spawn(address, "held")
    green_asyncio.spawn_for_awaitable(wait_for_ever())
running(4)

class AtTheEnd:
    def __del__(self, let_go=let_go, sleep=time.sleep):
        let_go(4)
        sleep(0.1)

sys.modules["kept until the modules go"] = AtTheEnd()
print("pass", flush=True)
""",
            lookups=5,
        )
        == "pass"
    )


def test_fork_during_lookups_leaves_both_processes_with_answers(run_held):
    """The child makes its own threads, and its green threads get their answers there."""
    assert (
        run_held("""
greens = [eventlet.spawn(address, "held") for _ in range(3)]
running(3)
child = os.fork()
if not child:
    let_go(3)
    with eventlet.Timeout(30):
        assert [green.wait() for green in greens] == ["127.0.0.1"] * 3
        assert address("localhost") == "127.0.0.1"
    os._exit(7)
let_go(3)
assert [green.wait() for green in greens] == ["127.0.0.1"] * 3
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("pass")
""")
        == "pass"
    )


def test_fork_while_answers_arrive_never_locks_the_child(run_held):
    """Whatever the threads were about to do, children go on."""
    assert (
        run_held("""
import asyncio
from eventlet import asyncio as green_asyncio

def look_up():
    while not stop:
        address("held")

stop = []
greens = [eventlet.spawn(look_up) for _ in range(8)]
for _ in range(30):
    let_go(40)
    child = os.fork()
    if not child:
        with eventlet.Timeout(30):
            let_go(4)
            assert address("held") == "127.0.0.1"
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    eventlet.sleep(0)
stop.append(True)
let_go(1000)
for green in greens:
    green.wait()
print("pass")
""")
        == "pass"
    )


def test_lookup_in_a_fork_of_a_fork_works(run_held):
    """Each process has a pool of its own."""
    assert (
        run_held(
            """
assert address("localhost") == "127.0.0.1"
for _ in range(3):
    child = os.fork()
    if child:
        break
    let_go()
    assert address("held") == "127.0.0.1"
else:
    os._exit(7)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
assert status == 7 or print("failed", status)
if os.getpid() == os.getsid(0) or threading.main_thread():
    print("pass", flush=True) if os.getppid() == PARENT else os._exit(7)
""".replace("assert address", "PARENT = os.getppid()\nassert address", 1)
        )
        == "pass"
    )


@pytest.mark.parametrize("loop", ["asyncio:new_event_loop", "uvloop:new_event_loop"])
def test_awaitable_lookup_answers_and_is_cancellable(run_held, loop):
    """A task gets the answer; a cancelled one goes on at once."""
    pytest.importorskip(loop.split(":")[0])
    assert (
        run_held(
            """
import asyncio
from eventlet import asyncio as green_asyncio
from eventlet.asyncio import getaddrinfo, getnameinfo

async def main():
    loop = asyncio.get_running_loop()
    assert await getaddrinfo("localhost", 80) == await loop.getaddrinfo("localhost", 80)
    assert await getnameinfo(("127.0.0.1", 80), 3) == ("127.0.0.1", "80")
    try:
        await getaddrinfo("nosuch.invalid.", 80, flags=4)
    except OSError as error:
        assert error.args[0] == -2, error
    task = asyncio.create_task(getaddrinfo("held", 80))
    while counted_in_thread()[0] != 1:
        await asyncio.sleep(0.001)
    task.cancel()
    try:
        await task
    except asyncio.CancelledError:
        print("cancelled")
    let_go()
    results = asyncio.gather(*[getaddrinfo("held", 80, type=1) for _ in range(20)])
    let_go(20)
    assert {found[0][4] for found in await results} == {("127.0.0.1", 80)}

def counted_in_thread():
    import socket
    text = socket.getaddrinfo("count", 80)[0][4][0]
    return tuple(map(int, text.split(".")[1:]))

for _ in range(2):
    asyncio.run(main())
    green_asyncio.spawn_for_awaitable(main()).wait()
thread = threading.Thread(target=lambda: asyncio.run(main()))
thread.start()
thread.join()
print("pass")
""",
            loop=loop,
        )
        == "pass"
    )


def test_awaitable_lookup_needs_a_running_loop(run_held):
    """Without one the error says so, and nothing is looked up."""
    assert (
        run_held("""
try:
    _core.await_getaddrinfo("held", 80)
except RuntimeError as error:
    assert "no running event loop" in str(error)
assert counted() == (0, 0, 0)
print("pass")
""")
        == "pass"
    )


def test_awaitable_lookup_works_in_a_forked_child(run_held):
    """Also if the parent has used it before."""
    assert (
        run_held("""
import asyncio
from eventlet.asyncio import getaddrinfo

expected = asyncio.run(getaddrinfo("localhost", 80))
child = os.fork()
if not child:
    assert asyncio.run(getaddrinfo("localhost", 80)) == expected
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print("pass")
""")
        == "pass"
    )


def test_number_of_lookups_must_make_sense(run_held):
    """A limit that is none is an error that names the variable."""
    assert (
        run_held(
            """
try:
    address("localhost")
except ValueError as error:
    assert "EVENTLET_ASYNCIO_LOOKUPS" in str(error)
    print("pass")
""",
            lookups=0,
        )
        == "pass"
    )


def test_lookup_without_threads_is_made_in_place(run_isolated):
    """Where the system gives no more threads, a lookup blocks instead of failing."""
    done = run_isolated(
        """
import resource
import eventlet
from eventlet.support import _resolver

eventlet.sleep(0)
_resolver.getaddrinfo("127.0.0.1", 80)
"localhost".encode("idna")
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 20),) * 2)
print(_resolver.gethostbyname("localhost"))
print("pass")
""",
        {"EVENTLET_HUB": "asyncio"},
    )
    assert done.stdout.splitlines() == ["127.0.0.1", "pass"], done.stderr
