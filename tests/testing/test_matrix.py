"""
The plugin beside others: all of them are loaded, each does what it does without ours.

What is not installed is skipped; ``nox -s plugins`` installs everything, with pytest 8
and with pytest 9.
"""

from __future__ import annotations

import importlib.metadata
import json
import re

import pytest

OURS = "--green-hub=ours"

LEAK = "\ndef test_leaks():\n    eventlet.spawn(eventlet.sleep, 100)\n"


@pytest.fixture
def beside(pytester, monkeypatch):
    """Run pytest with our plugin on and one other at least; skip without that one."""
    for name in ("EVENTLET_HUB", "EVENTLET_ASYNCIO_LOOP", "EVENTLET_ASYNCIO_DISABLE"):
        monkeypatch.delenv(name, raising=False)
    # What runs these tests may have switched it off, and xdist tell of itself.
    for name in ("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)

    def run(distribution, text, *options, ini=""):
        try:
            importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{distribution} is not installed")
        pytester.makeini(f"[pytest]\naddopts = -p no:cacheprovider\n{ini}")
        pytester.makepyfile(test_it=text)
        return pytester.runpytest_subprocess(OURS, *options, timeout=120)

    return run


def errors_of_leak(result):
    """Check that the leak is told of its test, and of no other."""
    result.stdout.fnmatch_lines(
        ["*ERROR at teardown of test_leaks*", "left *green thread*"]
    )
    assert len(re.findall("ERROR at teardown of", str(result.stdout))) == 1


ASYNCIO = """
import asyncio, time
import eventlet, pytest
from eventlet.green import time as green_time

loops = []

{mark}
async def test_it_is_its_own():
    loops.append(asyncio.get_running_loop())
    assert await asyncio.wait_for(asyncio.sleep(0.001, 5), 1) == 5

{mark}
async def test_it_may_block():
    before = asyncio.create_task(asyncio.sleep(0.001, "ran"))
    green_time.sleep(0.01)
    assert before.done() and before.result() == "ran"
    loops.append(asyncio.get_running_loop())
    assert len(set(map(id, loops))) == len(loops)

{mark}
async def test_it_fails():
    await asyncio.sleep(0)
    assert 1 == 2

@pytest.mark.green
def test_green():
    assert eventlet.getcurrent().parent is not None
    eventlet.sleep(0)
"""


def test_pytest_asyncio_strict(beside):
    """It takes what is marked; what is not is ours, and may block."""
    text = ASYNCIO.format(mark="@pytest.mark.asyncio") + (
        "\nasync def test_unmarked():\n"
        "    before = asyncio.create_task(asyncio.sleep(0.001))\n"
        "    green_time.sleep(0.01)\n"
        "    assert before.done()\n"
    )
    result = beside("pytest-asyncio", text + LEAK, ini="asyncio_mode = strict\n")
    result.assert_outcomes(passed=5, failed=1, errors=1)
    errors_of_leak(result)


def test_pytest_asyncio_auto(beside):
    """It takes all coroutines."""
    result = beside(
        "pytest-asyncio", ASYNCIO.format(mark="") + LEAK, ini="asyncio_mode = auto\n"
    )
    result.assert_outcomes(passed=4, failed=1, errors=1)
    errors_of_leak(result)


def test_pytest_asyncio_fixtures_and_a_shared_loop(beside):
    """An async fixture and its tests share a loop of the module's."""
    result = beside(
        "pytest-asyncio",
        """
import asyncio
import eventlet, pytest, pytest_asyncio

@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server():
    async def echo(reader, writer):
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()

@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("number", range(3))
async def test_echo(server, number):
    from eventlet.green import socket
    reader, writer = await asyncio.open_connection("127.0.0.1", server)
    writer.write(b"one\\n")
    assert await reader.readline() == b"one\\n"
    writer.close()
    await writer.wait_closed()
    # A green socket in the same loop.
    with socket.create_connection(("127.0.0.1", server)) as client:
        client.sendall(b"two\\n")
        assert client.recv(10) == b"two\\n"
    await asyncio.sleep(0.01)
""",
        ini="asyncio_mode = strict\n",
    )
    result.assert_outcomes(passed=3)


def test_anyio(beside):
    """It takes what is marked, on both of its backends where trio is there."""
    result = beside(
        "anyio",
        """
import anyio, eventlet, pytest, sys
from eventlet.green import time as green_time

def backends():
    try:
        import trio
    except ImportError:
        return ["asyncio"]
    return ["asyncio", "trio"]

@pytest.fixture(params=backends())
def anyio_backend(request):
    return request.param

@pytest.fixture
async def number():
    await anyio.sleep(0)
    yield 5

@pytest.mark.anyio
async def test_group(number, anyio_backend):
    seen = []
    async def child(n):
        await anyio.sleep(0.001)
        seen.append(n)
    async with anyio.create_task_group() as group:
        for n in range(number):
            group.start_soon(child, n)
    assert sorted(seen) == list(range(number))

@pytest.mark.anyio
async def test_thread():
    assert await anyio.to_thread.run_sync(lambda: 7) == 7

@pytest.mark.anyio
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_blocks():
    green_time.sleep(0.001)

def test_count(request):
    count = len(backends())
    items = [item.name for item in request.session.items]
    assert sum(name.startswith("test_group[") for name in items) == count
"""
        + LEAK,
        ini="asyncio_mode = strict\n",
    )
    outcomes = result.parseoutcomes()
    assert outcomes.keys() <= {"passed", "error", "errors", "warnings", "warning"}
    assert outcomes["passed"] in {5, 7}, outcomes
    errors_of_leak(result)


def test_pytest_trio(beside):
    """Trio's tests run on trio, ours on Eventlet, one after the other."""
    result = beside(
        "pytest-trio",
        """
import eventlet, pytest, trio
from eventlet.green import time as green_time

@pytest.mark.trio
async def test_trio(autojump_clock):
    before = trio.current_time()
    await trio.sleep(100)
    assert trio.current_time() - before == 100

async def test_ours():
    import asyncio
    task = asyncio.create_task(asyncio.sleep(0.001))
    green_time.sleep(0.01)
    assert task.done()

@pytest.mark.green
def test_green():
    eventlet.sleep(0.001)

@pytest.mark.trio
async def test_trio_again(nursery):
    nursery.start_soon(trio.sleep, 0)
    assert await trio.to_thread.run_sync(lambda: 5) == 5
"""
        + LEAK,
        ini="asyncio_mode = strict\n",
    )
    result.assert_outcomes(passed=5, errors=1)
    errors_of_leak(result)


def test_xdist(beside, pytester):
    """Leaks are told of their test by whichever worker ran it; evidence is one file."""
    text = """
import eventlet, os, pytest

@pytest.mark.parametrize("number", range(30))
def test_green(number):
    eventlet.sleep(0.001)
    with open("ran", "a") as file:
        file.write(f"{number} {os.getpid()}\\n")
    assert number != 13
"""
    result = beside(
        "pytest-xdist", text + LEAK, "-n2", "--green-evidence=evidence.json"
    )
    result.assert_outcomes(passed=30, failed=1, errors=1)
    errors_of_leak(result)
    ran = [line.split() for line in (pytester.path / "ran").read_text().splitlines()]
    assert sorted(int(number) for number, _ in ran) == list(range(30))
    assert len({pid for _, pid in ran}) == 2
    evidence = json.loads((pytester.path / "evidence.json").read_text())
    assert evidence
    assert not list(pytester.path.glob("evidence.json.*"))


BLOCKED = """
import eventlet, pytest

def waits_for_ever(event):
    event.wait()

def test_hangs():
    event = eventlet.event.Event()
    thread = eventlet.spawn(waits_for_ever, event)
    try:
        thread.wait()
    finally:
        thread.kill()

def test_after():
    eventlet.sleep(0)
"""


def test_pytest_timeout_by_signal(beside):
    """The test fails, the next one runs, and the dump shows the green thread."""
    result = beside("pytest-timeout", BLOCKED, "--timeout=1", "--timeout-method=signal")
    result.assert_outcomes(passed=1, failed=1)
    text = str(result.stdout) + str(result.stderr)
    assert "Timeout" in text
    assert "Stack of <eventlet.greenthread.GreenThread" in text
    assert "in waits_for_ever" in text


def test_pytest_timeout_by_thread(beside):
    """The process ends, after a dump that shows the green thread."""
    result = beside("pytest-timeout", BLOCKED, "--timeout=1", "--timeout-method=thread")
    assert result.ret == 1
    text = str(result.stdout) + str(result.stderr)
    assert "Stack of <eventlet.greenthread.GreenThread" in text
    assert "in waits_for_ever" in text
    assert "in test_hangs" in text


def test_pytest_timeout_while_nothing_switches(beside):
    """A test that keeps the hub from running is ended as well."""
    result = beside(
        "pytest-timeout",
        "import eventlet, time\n"
        "def spins():\n    while True: pass\n"
        "def test_spins():\n    eventlet.spawn(spins).wait()\n"
        "def test_after():\n    eventlet.sleep(0)\n",
        "--timeout=1",
        "--timeout-method=signal",
    )
    result.assert_outcomes(passed=1, failed=1)
    assert "in spins" in str(result.stdout) or "spins()" in str(result.stdout)


def test_pytest_cov_counts_exactly(beside, pytester):
    """Lines of green threads and coroutines, those that ran and no others."""
    pytester.makepyfile(
        counted="""
import eventlet

def first(event):
    eventlet.sleep(0)
    event.append(1)
    if len(event) > 50:
        event.append("never")
    eventlet.sleep(0)
    event.append(2)

def second(event):
    eventlet.sleep(0)
    event.append(3)
    eventlet.sleep(0)
    if event:
        event.append(4)
    return event

async def third(event):
    eventlet.sleep(0)
    event.append(5)

def unused(event):
    event.append(6)
"""
    )
    (pytester.path / ".coveragerc").write_text(
        "[run]\nconcurrency = thread,eventlet\ncore = ctrace\n"
    )
    result = beside(
        "pytest-cov",
        """
import counted, eventlet

def test_interleaved():
    events = []
    threads = [eventlet.spawn(f, events) for f in (counted.first, counted.second) * 2]
    for thread in threads:
        thread.wait()
    assert len(events) >= 8

async def test_coroutine():
    await counted.third([])
""",
        "--cov=counted",
        "--cov-report=json:coverage.json",
        ini="asyncio_mode = strict\n",
    )
    result.assert_outcomes(passed=2)
    text = (pytester.path / "counted.py").read_text().splitlines()
    report = json.loads((pytester.path / "coverage.json").read_text())
    missing = report["files"]["counted.py"]["missing_lines"]
    found = [text[number - 1].strip() for number in missing]
    assert found == ['event.append("never")', "event.append(6)"]


def test_pytest_randomly(beside):
    """The order of tests is random, and each still answers for its own."""
    text = "import eventlet, random\n" + "".join(
        f"def test_{n}():\n    eventlet.sleep(0)\n    print('ran', {n}, random.random())\n"
        for n in range(12)
    )
    outputs = []
    for seed in ("1", "1", "2"):
        result = beside("pytest-randomly", text + LEAK, f"--randomly-seed={seed}", "-s")
        result.assert_outcomes(passed=13, errors=1)
        errors_of_leak(result)
        outputs.append(re.findall(r"ran (\d+ [\d.]+)", str(result.stdout)))
    assert outputs[0] == outputs[1] != outputs[2]


def test_hypothesis(beside):
    """Each example runs in the green thread, and a failing one is reduced."""
    result = beside(
        "hypothesis",
        """
import eventlet, pytest
from hypothesis import given, settings, strategies as st

@pytest.mark.green
@settings(max_examples=50, deadline=None, database=None)
@given(st.lists(st.integers(0, 3), max_size=4))
def test_queue(numbers):
    assert eventlet.getcurrent().parent is not None
    queue = eventlet.Queue()
    thread = eventlet.spawn(lambda: [queue.get() for _ in numbers])
    for number in numbers:
        queue.put(number)
    assert thread.wait() == numbers

@settings(max_examples=200, deadline=None, database=None)
@given(st.integers(0, 10_000))
def test_fails(number):
    assert eventlet.spawn(lambda: number).wait() < 500
"""
        + LEAK,
    )
    result.assert_outcomes(passed=2, failed=1, errors=1)
    result.stdout.fnmatch_lines(["*number=500*"])
    errors_of_leak(result)


def test_freezegun(beside):
    """A frozen wall clock leaves the hub's timers alone."""
    result = beside(
        "freezegun",
        """
import datetime, time
import eventlet, pytest
from freezegun import freeze_time

@pytest.mark.green
@freeze_time("2020-01-02")
def test_frozen():
    before = time.time()
    eventlet.sleep(0.02)
    assert time.time() == before
    assert datetime.date.today() == datetime.date(2020, 1, 2)
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.02):
        eventlet.sleep(10)

def test_moved():
    with freeze_time("2020-01-02") as frozen:
        thread = eventlet.spawn(eventlet.sleep, 0.02)
        frozen.tick(3600)
        assert not thread.dead
        thread.wait()
        assert time.time() == datetime.datetime(
            2020, 1, 2, 1, tzinfo=datetime.timezone.utc
        ).timestamp()
"""
        + LEAK,
    )
    result.assert_outcomes(passed=3, errors=1)
    errors_of_leak(result)


def test_time_machine(beside):
    """A moved wall clock leaves the hub's timers alone."""
    result = beside(
        "time-machine",
        """
import time
import eventlet, pytest, time_machine

@pytest.mark.green
@time_machine.travel(1_000_000_000, tick=False)
def test_stopped():
    eventlet.sleep(0.02)
    assert time.time() == 1_000_000_000
    with pytest.raises(eventlet.Timeout), eventlet.Timeout(0.02):
        eventlet.sleep(10)

def test_moved():
    with time_machine.travel(1_000_000_000) as traveller:
        thread = eventlet.spawn(eventlet.sleep, 0.02)
        traveller.shift(3600)
        eventlet.sleep(0)
        assert not thread.dead
        thread.wait()
        assert 1_000_003_600 <= time.time() < 1_000_003_700
"""
        + LEAK,
    )
    result.assert_outcomes(passed=3, errors=1)
    errors_of_leak(result)


def test_unittest_cases(beside):
    """IsolatedAsyncioTestCase keeps a loop of its own; its tests may block, too."""
    result = beside(
        "pytest",
        """
import asyncio, unittest
import eventlet
from eventlet.green import time as green_time

class Isolated(unittest.IsolatedAsyncioTestCase):
    def setUp(self):
        self.events = ["setUp"]

    async def asyncSetUp(self):
        self.loop = asyncio.get_running_loop()
        self.events.append("asyncSetUp")

    async def asyncTearDown(self):
        assert asyncio.get_running_loop() is self.loop

    async def test_awaits(self):
        await asyncio.sleep(0.001)
        self.assertEqual(self.events, ["setUp", "asyncSetUp"])
        self.assertIs(asyncio.get_running_loop(), self.loop)

    async def test_blocks(self):
        task = asyncio.create_task(asyncio.sleep(0.001))
        green_time.sleep(0.01)
        self.assertTrue(task.done())

    async def test_fails(self):
        self.assertEqual(1, 2)

class Plain(unittest.TestCase):
    def test_green(self):
        self.assertEqual(eventlet.spawn(lambda: 5).wait(), 5)
"""
        + LEAK,
        ini="asyncio_mode = strict\n",
    )
    result.assert_outcomes(passed=4, failed=1, errors=1)
    errors_of_leak(result)


def test_blockbuster(beside):
    """It names calls that block a loop; green calls in coroutines do not."""
    result = beside(
        "blockbuster",
        """
import asyncio, time
import eventlet, pytest
from blockbuster import BlockBuster, BlockingError
from eventlet.green import time as green_time

@pytest.fixture
def detector():
    detector = BlockBuster()
    detector.activate()
    yield detector
    detector.deactivate()

async def test_green_calls_do_not_block(detector):
    task = asyncio.create_task(asyncio.sleep(0.001))
    green_time.sleep(0.01)
    assert task.done()

async def test_plain_calls_do(detector):
    with pytest.raises(BlockingError, match="time.sleep"):
        time.sleep(0.001)

def test_green_threads_are_no_coroutines(detector):
    eventlet.spawn(time.sleep, 0.001).wait()
"""
        + LEAK,
        ini="asyncio_mode = strict\n",
    )
    result.assert_outcomes(passed=4, errors=1)
    errors_of_leak(result)
