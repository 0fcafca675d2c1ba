"""Each hazard is found where it is, and not where it is avoided."""

from __future__ import annotations

import pytest

from .test_scan import scan

HEAD = """\
import eventlet
eventlet.monkey_patch()
import socket, sqlite3, threading, time
from eventlet import semaphore, tpool

lock = threading.Lock()
"""
# Threads are left as they are.
PARTLY = HEAD.replace("monkey_patch()", "monkey_patch(socket=True)")
TEST = """\
import time
from unittest import mock

import eventlet
"""

# Rule, file, what comes before, what is a hazard, what is none.
CASES = [
    (
        "EV301",
        "app/main.py",
        HEAD,
        """
def work():
    with eventlet.Timeout(1):
        try:
            socket.create_connection(("a", 1))
        except Exception:
            pass
""",
        """
def work():
    with eventlet.Timeout(1):
        try:
            socket.create_connection(("a", 1))
        except eventlet.Timeout:
            raise
        except Exception:
            pass
""",
    ),
    (
        "EV302",
        "app/main.py",
        HEAD,
        """
class Cache:
    def start(self):
        eventlet.spawn_n(self.get, 1)

    def get(self, key):
        if key not in self.known:
            self.known[key] = eventlet.spawn(print)
        return self.known[key]
""",
        """
class Cache:
    def start(self):
        eventlet.spawn_n(self.get, 1)

    def get(self, key):
        with self.lock:
            if key not in self.known:
                self.known[key] = eventlet.spawn(print)
            return self.known[key]

    def look(self, key):
        if key in self.known:
            return self.known[key]
        known = {}
        if key not in known:
            known[key] = 1


class Alone:
    def get(self, key):
        if key not in self.known:
            self.known[key] = 1
""",
    ),
    (
        "EV303",
        "app/main.py",
        HEAD,
        """
class Manager:
    def __init__(self):
        self.session = get_session()
""",
        """
class Manager:
    def work(self):
        session = get_session()
        return session
""",
    ),
    (
        "EV304",
        "app/main.py",
        HEAD,
        """
class Server(Service):
    def __init__(self):
        self.client = socket.create_connection(("a", 1))
""",
        """
class Server(Service):
    def start(self):
        self.client = socket.create_connection(("a", 1))
""",
    ),
    (
        "EV305",
        "tests/test_main.py",
        TEST,
        """
@mock.patch("time.sleep")
def test(nap):
    eventlet.sleep(1)
""",
        """
@mock.patch("app.main.nap")
def test(nap):
    eventlet.sleep(1)
""",
    ),
    (
        "EV306",
        "tests/test_main.py",
        TEST,
        'engine = create_engine("sqlite://")\neventlet.sleep(1)\n',
        'engine = create_engine("sqlite:///main.db")\neventlet.sleep(1)\n',
    ),
    ("EV307", "app/main.py", HEAD, "time.sleep(0)\n", "time.sleep(1)\n"),
    (
        "EV308",
        "app/main.py",
        PARTLY,
        "with lock:\n    eventlet.sleep(1)\n",
        "with lock:\n    print(1)\neventlet.sleep(1)\n",
    ),
    (
        "EV308",
        "app/main.py",
        PARTLY,
        """
def work():
    lock.acquire()
    try:
        eventlet.sleep(1)
    finally:
        lock.release()
""",
        """
def work():
    lock.acquire()
    print(1)
    lock.release()
    eventlet.sleep(1)
""",
    ),
    (
        "EV308",
        "app/main.py",
        HEAD,
        """
gate = semaphore.Semaphore()

def inner():
    with gate:
        print(1)

def outer():
    inner()

tpool.execute(outer)
""",
        """
gate = semaphore.Semaphore()

def outer():
    print(1)

with gate:
    tpool.execute(outer)
""",
    ),
    (
        "EV309",
        "app/main.py",
        "import eventlet\n",
        "def main():\n    eventlet.monkey_patch()\n    eventlet.sleep(1)\n",
        "eventlet.monkey_patch()\neventlet.sleep(1)\n",
    ),
    ("EV310", "app/main.py", HEAD, "eventlet.GreenPool()\n", "eventlet.GreenPool(9)\n"),
    (
        "EV311",
        "app/main.py",
        HEAD,
        "def work():\n    eventlet.spawn(print).kill()\n",
        "def work():\n    eventlet.spawn(print).wait()\n",
    ),
    (
        "EV312",
        "app/main.py",
        HEAD + "import asyncio\neventlet.sleep(1)\n",
        """
def nap():
    time.sleep(1)

async def work():
    nap()
""",
        """
async def work():
    await asyncio.sleep(1)
""",
    ),
    (
        "EV313",
        "app/main.py",
        HEAD + "import asyncio\neventlet.sleep(1)\n\nasync def work():\n    pass\n",
        "async def all_work():\n    work()\n",
        "async def all_work():\n    await work()\n",
    ),
    (
        "EV313",
        "app/main.py",
        HEAD + "import asyncio\neventlet.sleep(1)\n\nasync def work():\n    pass\n",
        "async def all_work():\n    asyncio.create_task(work())\n",
        "async def all_work():\n    return asyncio.create_task(work())\n",
    ),
    (
        "EV314",
        "app/main.py",
        HEAD,
        "async def work():\n    semaphore.Semaphore().acquire()\n",
        "def work():\n    semaphore.Semaphore().acquire()\n",
    ),
    (
        "EV315",
        "tests/test_main.py",
        TEST,
        """
def test():
    eventlet.spawn(print)
    eventlet.sleep(0)
    assert print
""",
        """
def test():
    thread = eventlet.spawn(print)
    eventlet.sleep(0)
    thread.wait()
    assert print

def test_alone():
    eventlet.sleep(0)
    assert print
""",
    ),
    (
        "EV316",
        "app/main.py",
        HEAD,
        "def stop():\n    eventlet.spawn(print).kill()\n",
        "def stop():\n    eventlet.spawn(print).wait()\n",
    ),
]


def rules(folder, path, text):
    """Write a file and scan; return the hazards found."""
    for package in ("app", "tests"):
        (folder / package).mkdir(exist_ok=True)
        (folder / package / "__init__.py").touch()
    (folder / path).write_text(text)
    found = scan(folder)["findings"]
    return {finding["rule"] for finding in found if finding["kind"] == "hazard"}


@pytest.mark.parametrize(
    ("rule", "path", "head", "bad", "good"),
    CASES,
    ids=[f"{case[0]}-{at}" for at, case in enumerate(CASES)],
)
def test_hazard_is_found_where_it_is(tmp_path, rule, path, head, bad, good):
    """The first text has it, the second has not."""
    assert rule in rules(tmp_path, path, head + bad)
    assert rule not in rules(tmp_path, path, head + good)


def test_every_hazard_has_a_case():
    """EV301 to EV316, none left out."""
    assert {case[0] for case in CASES} == {f"EV{number}" for number in range(301, 317)}
