"""Promises of `eventlet.patcher` that leave the process as it was."""

from __future__ import annotations

import importlib
import importlib.util
import os
import queue
import socket
import subprocess
import sys
import threading
from types import ModuleType, SimpleNamespace

import pytest

import eventlet
from eventlet import patcher
from eventlet._patch import plan

PATCHABLE = (
    *("_thread", "os", "queue", "select", "selectors", "socket", "ssl"),
    *("subprocess", "threading", "time"),
)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Give a function that writes a module which can be imported."""
    monkeypatch.syspath_prepend(str(tmp_path))
    made = []

    def write(name, text):
        path = tmp_path.joinpath(*name.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        importlib.invalidate_caches()
        made.append(name.split(".")[0])

    yield write
    for name in list(sys.modules):
        plain = name.removeprefix("__patched_module_").split(".")[0]
        plain = plain.removeprefix("__original_module_")
        if plain in made:
            del sys.modules[name]


# Originals


@pytest.mark.parametrize("name", PATCHABLE)
def test_original_is_another_module_and_always_the_same(name):
    original = patcher.original(name)
    assert original is not sys.modules[name]
    assert original is patcher.original(name)
    assert original is sys.modules[f"__original_module_{name}"]


def test_originals_use_originals():
    original = patcher.original("subprocess")
    assert original.selectors is patcher.original("selectors")
    assert original.selectors.select is patcher.original("select")
    assert patcher.original("queue").threading is patcher.original("threading")


LAZY = pytest.param(
    "lazy import selectors",
    marks=pytest.mark.skipif(
        sys.version_info < (3, 15), reason="Python 3.15 brought lazy imports"
    ),
)


@pytest.mark.parametrize("statement", ["import selectors", LAZY])
def test_originals_import_originals_later_too(statement):
    """As `socket.sendfile` does from Python 3.14 on, which may run when all is patched."""
    namespace = dict(vars(patcher.original("socket")))
    exec(f"{statement}\nfound = selectors", namespace)
    assert namespace["found"] is patcher.original("selectors")


def test_original_is_complete_in_whichever_os_thread_asks(module, monkeypatch):
    """One OS thread that asks while another one makes it waits until it is made."""
    entered, asking, proceed = (threading.Event() for _ in range(3))
    calls = []

    def passing():
        calls.append(1)
        if len(calls) == 2:
            entered.set()
            assert proceed.wait(30)

    monkeypatch.setitem(sys.modules, "gate", SimpleNamespace(passing=passing))
    module("slow", "import gate\ngate.passing()\ncomplete = True\n")
    found = []

    def ask():
        asking.set()
        found.append(hasattr(patcher.original("slow"), "complete"))

    maker = threading.Thread(target=ask)
    maker.start()
    assert entered.wait(30)
    asking.clear()
    other = threading.Thread(target=ask)
    other.start()
    assert asking.wait(30)
    proceed.set()
    for thread in (maker, other):
        thread.join(30)
    assert found == [True, True]


def test_original_of_an_unknown_module_is_an_import_error():
    with pytest.raises(ImportError, match="no_such_module"):
        patcher.original("no_such_module")
    assert "__original_module_no_such_module" not in sys.modules


def test_stand_in_for_an_original_is_returned(monkeypatch):
    """As tests of applications put one where upstream looks."""
    former = patcher.original("select")
    stand_in = ModuleType("select")
    monkeypatch.setitem(sys.modules, "__original_module_select", stand_in)
    assert patcher.original("select") is stand_in
    monkeypatch.undo()
    assert patcher.original("select") is former


def test_exceptions_of_originals_are_the_standard_ones():
    """Whoever catches by one name catches what the other module raises."""
    for original, standard, names in (
        ("subprocess", subprocess, ("CalledProcessError", "TimeoutExpired")),
        ("queue", queue, ("Empty", "Full")),
        ("socket", socket, ("error", "gaierror", "timeout")),
        ("threading", threading, ("BrokenBarrierError", "ThreadError")),
    ):
        for name in names:
            assert getattr(patcher.original(original), name) is getattr(standard, name)


def test_original_os_has_the_same_environment(monkeypatch):
    monkeypatch.setenv("SET_LATER", "value")
    assert patcher.original("os").environ is os.environ
    assert patcher.original("os").getenv("SET_LATER") == "value"


def test_original_of_threading_made_by_another_thread_knows_the_main_one(run_isolated):
    """The thread that happens to ask first must not be disturbed by it."""
    run_isolated(
        """
import threading
import eventlet_asyncio
eventlet_asyncio.activate()
from eventlet import patcher
from eventlet._patch import plan

made = []
asking = threading.Thread(target=lambda: made.append(patcher.original("threading")))
asking.start()
asking.join()
assert made[0].main_thread().ident == threading.main_thread().ident
assert made[0].current_thread() is made[0].main_thread()
assert not asking.is_alive()
"""
    )


# Green imports


def test_import_patched_gives_a_module_with_green_imports(module):
    module("client_a", "import socket, time, threading, urllib.request\n")
    plain = importlib.import_module("client_a")
    green = eventlet.import_patched("client_a")
    assert green is not plain
    assert plain.socket is sys.modules["socket"]
    assert green.socket is sys.modules["eventlet.green.socket"]
    assert green.time is sys.modules["eventlet.green.time"]
    assert green.urllib.request is sys.modules["eventlet.green.urllib.request"]


def test_import_patched_leaves_sys_modules_as_they_were(module):
    module("client_b", "import http.client\n")
    before = dict(sys.modules)
    http = sys.modules["http"].__dict__.copy()
    eventlet.import_patched("client_b")
    changed = {n for n in before if sys.modules.get(n) is not before[n]}
    assert changed == set()
    assert "client_b" not in sys.modules
    assert sys.modules["http"].__dict__ == http


def test_import_patched_takes_what_it_is_given(module):
    module("client_c", "import socket, time\n")
    stand_in = object()
    green = eventlet.import_patched("client_c", ("socket", stand_in))
    assert green.socket is stand_in
    assert green.time is sys.modules["time"]
    again = eventlet.import_patched("client_c", time=stand_in)
    assert again.time is stand_in


def test_import_patched_twice_gives_the_same_module(module):
    module("client_d", "import socket\n")
    assert eventlet.import_patched("client_d") is eventlet.import_patched("client_d")


@pytest.mark.parametrize("name", sorted(plan.GREEN_MODULES))
def test_import_patched_takes_modules_that_have_a_green_twin(name, run_isolated):
    """One more copy is made of the standard module, whose own imports are green."""
    if importlib.util.find_spec(name) is None:
        pytest.skip("this Python has no such module")
    code = f"""
import eventlet, importlib, sys
from eventlet._patch.plan import GREEN_MODULES
standard = importlib.import_module({name!r})
before = dict(sys.modules)
made = eventlet.import_patched({name!r})
assert made.__name__ == {name!r}
assert sys.modules[{name!r}] is standard
assert {{n for n in before if sys.modules[n] is not before[n]}} == set()
greens = {{id(sys.modules[n]) for n in GREEN_MODULES if n in sys.modules}}
taken = [n for n, value in vars(made).items() if id(value) in greens]
assert set(taken) <= {{"_thread", "__original_module__"}}, taken
parent, _, child = {name!r}.rpartition(".")
if parent:
    assert getattr(sys.modules[parent], child) is standard
"""
    options = ("-W", "ignore::DeprecationWarning")
    assert run_isolated(code, {"EVENTLET_HUB": "asyncio"}, options=options).stderr == ""


def test_parts_of_a_package_imported_patched_use_green_parts(run_isolated):
    """`http.server` refers to `http.client` through the package of both."""
    code = """
import eventlet
server = eventlet.import_patched("http.server")
from eventlet.green.http import client
assert server.http.client is client
request = eventlet.import_patched("urllib.request")
assert request.http.client is client
"""
    run_isolated(code, {"EVENTLET_HUB": "asyncio"})


def test_import_patched_covers_the_parts_of_a_package(module):
    module("package_a.__init__", "from .part import socket\n")
    module("package_a.part", "import socket\n")
    plain = importlib.import_module("package_a")
    part = plain.part
    green = eventlet.import_patched("package_a")
    assert green.socket is sys.modules["eventlet.green.socket"]
    assert plain.socket is sys.modules["socket"]
    assert sys.modules["package_a.part"] is part


def test_import_patched_renews_what_the_package_works_with(module):
    """As `requests` does its networking by `urllib3`, which may be loaded already."""
    module("client_e", "import middle_e, state_e\nfrom middle_e import connect\n")
    module("middle_e", "import wire_e\ndef connect():\n    return wire_e.socket\n")
    module("wire_e", "import socket\n")
    module("state_e", "state = object()\n")
    plain = importlib.import_module("client_e")
    loaded = {name: sys.modules[name] for name in ("middle_e", "wire_e", "state_e")}
    green = eventlet.import_patched("client_e")
    assert green.connect() is sys.modules["eventlet.green.socket"]
    assert plain.connect() is socket
    # What reaches nothing that is green may hold state.
    assert green.state_e is plain.state_e
    assert {name: sys.modules[name] for name in loaded} == loaded


def test_import_that_fails_leaves_no_trace(module):
    module("fails_at_import", "import socket\nraise LookupError('why')\n")
    standard = sys.modules["socket"]
    with pytest.raises(LookupError, match="why"):
        eventlet.import_patched("fails_at_import")
    assert sys.modules["socket"] is standard
    assert not any("fails_at_import" in name for name in sys.modules)


def test_inject_copies_names_into_the_given_namespace(module):
    module("client_f", "import socket\n__all__ = ['a']\na, b, _c = 1, 2, 3\n")
    names = {"__name__": "mine"}
    patcher.inject("client_f", names)
    assert (names["a"], names["b"], names["_c"]) == (1, 2, 3)
    assert names["__name__"] == "mine"
    assert names["__all__"] == ["a"]


def test_patch_function_greens_what_is_imported_in_a_call():
    def importing():
        import socket as found

        return found

    assert patcher.patch_function(importing)() is sys.modules["eventlet.green.socket"]
    assert importing() is sys.modules["socket"]


def test_saver_restores_modules_and_their_parents(monkeypatch):
    saver = patcher.SysModulesSaver(["os.path", "never_imported"])
    real = os.path
    monkeypatch.setitem(sys.modules, "os.path", "another")
    monkeypatch.setattr(os, "path", "another")
    sys.modules["never_imported"] = "something"
    saver.restore()
    assert sys.modules["os.path"] is real
    assert os.path is real
    assert "never_imported" not in sys.modules


# Green modules


@pytest.mark.parametrize(
    "name",
    [
        *("BaseHTTPServer", "Queue", "SimpleHTTPServer", "SocketServer", "builtin"),
        *("ftplib", "http", "http.client", "http.cookiejar", "http.cookies"),
        *("http.server", "httplib", "os", "profile", "select", "selectors"),
        *("smtplib", "socket", "ssl", "subprocess", "thread", "threading", "time"),
        *("urllib", "urllib.error", "urllib.parse", "urllib.request"),
        *("urllib.response", "urllib2"),
    ],
)
def test_green_module_can_be_imported_first_and_alone(name, run_isolated):
    """None depends on another one having been imported, nor prints a warning."""
    done = run_isolated(
        "import eventlet_asyncio; eventlet_asyncio.activate()\n"
        f"import eventlet.green.{name}\n",
        # Of its own accord Python 3.15 warns of the standard profiler.
        options=("-W", "error", "-W", "ignore:The profile module is deprecated"),
    )
    assert done.stderr == ""


def test_import_of_eventlet_loads_nothing_heavy(run_isolated):
    """What an application does not use costs it nothing."""
    heavy = ("dns", "email", "http", "socket", "ssl", "subprocess", "urllib.request")
    run_isolated(
        "import eventlet_asyncio; eventlet_asyncio.activate()\n"
        "import sys\n"
        "before = set(sys.modules)\n"
        "import eventlet\n"
        f"new = [n for n in {heavy} if n in sys.modules and n not in before]\n"
        "assert new == [], new\n"
    )


def test_green_modules_answer_like_their_twins():
    """Every public name of a standard module is there, the selectors left out apart."""
    missing = {}
    for name in ("socket", "os", "time", "threading", "subprocess", "queue", "ssl"):
        twin = "Queue" if name == "queue" else name
        green = importlib.import_module(f"eventlet.green.{twin}")
        standard = importlib.import_module(name)
        public = getattr(standard, "__all__", None) or [
            n for n in vars(standard) if not n.startswith("_")
        ]
        lost = [n for n in public if not hasattr(green, n)]
        if lost:
            missing[name] = lost
    assert missing == {}


def test_is_monkey_patched_takes_modules_and_names():
    assert not patcher.is_monkey_patched("socket")
    assert not patcher.is_monkey_patched(socket)
    assert not patcher.is_monkey_patched("no_such_module")


ALL = ["os", "select", "socket", "subprocess", "thread", "time"]


@pytest.mark.parametrize(
    ("arguments", "patched"),
    [
        ("", ALL),
        ("os=True", ["os"]),
        ("os=False", [name for name in ALL if name != "os"]),
        ("os=False, thread=False", ["select", "socket", "subprocess", "time"]),
        ("all=False", []),
        ("all=False, time=True", ["time"]),
        ("all=True, time=False", [name for name in ALL if name != "time"]),
        ("builtins=True", ["builtins"]),
        ("all=True, builtins=True", [*ALL, "builtins"]),
        ("socket=None, time=1", ["time"]),
    ],
)
def test_monkey_patch_changes_what_its_arguments_say(run_isolated, arguments, patched):
    """All options together, and what the standard modules hold afterwards."""
    code = f"""
import eventlet
from eventlet import patcher
from eventlet._patch import plan
eventlet.monkey_patch({arguments})
import builtins, os, select, socket, subprocess, threading, time
green = {{
    "os": os.read.__module__ == "eventlet.green.os",
    "select": select.poll.__module__ == "eventlet.green.select",
    "socket": socket.socket.__module__ == "eventlet.greenio.base",
    "subprocess": subprocess.Popen.__mro__[1].__module__ == "eventlet.green.subprocess",
    "thread": threading.get_ident.__module__ == "eventlet.green.thread",
    "time": time.sleep is not patcher.original("time").sleep,
    "builtins": open is not patcher.original("io").open,
}}
print([name for name in green if green[name]])
print([name for name in green if patcher.is_monkey_patched(name)])
"""
    done = run_isolated(code, {"EVENTLET_HUB": "asyncio"})
    assert done.stdout.splitlines() == [str(patched)] * 2
    assert done.stderr == ""


def test_patching_late_says_nothing_of_locks_that_are_not_greened(run_isolated):
    """Upstream warns of each; here each is replaced, whoever holds it."""
    code = """
import concurrent.futures, logging, queue, threading
held, free, log = threading.RLock(), threading.RLock(), logging.getLogger("x")
logging.basicConfig()
held.acquire()
os_thread_ready, leave = threading.Event(), threading.Event()
elsewhere = threading.RLock()

def hold():
    with elsewhere:
        os_thread_ready.set()
        leave.wait(30)

thread = threading.Thread(target=hold)
thread.start()
os_thread_ready.wait(30)
import eventlet
eventlet.monkey_patch()
assert isinstance(held, threading._PyRLock) and isinstance(free, threading._PyRLock)
held.release()
leave.set()
thread.join()
"""
    done = run_isolated(code, {"EVENTLET_HUB": "asyncio"}, options=("-W", "error"))
    assert done.stderr == ""


def test_patched_driver_waits_by_the_hub(run_isolated, tmp_path):
    """psycopg2 is patched whether it is imported before or after, and only if asked."""
    package = tmp_path / "psycopg2"
    package.mkdir()
    (package / "__init__.py").write_text("class OperationalError(Exception): pass\n")
    (package / "extensions.py").write_text(
        "given = []\nset_wait_callback = given.append\n"
    )
    lines = {
        "before": "import psycopg2.extensions\neventlet.monkey_patch(psycopg=True)",
        "after": "eventlet.monkey_patch(psycopg=True)\nimport psycopg2.extensions",
        "not": "eventlet.monkey_patch(psycopg=False)\nimport psycopg2.extensions",
    }
    printed = {
        when: run_isolated(
            f"import sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport eventlet\n{line}\n"
            "print([call.__name__ for call in psycopg2.extensions.given])",
            {"EVENTLET_HUB": "asyncio"},
        ).stdout
        for when, line in lines.items()
    }
    given = "['eventlet_wait_callback']\n"
    assert printed == {"before": given, "after": given, "not": "[]\n"}


def test_monkey_patch_names_what_it_does_not_know():
    with pytest.raises(TypeError, match="finagle"):
        eventlet.monkey_patch(finagle=True)
    assert patcher.already_patched == {}


# What a caller of `patcher._green_*` has patched, as upstream's functions tell.
PATCHED = {
    "_green_builtins": {"builtins"},
    "_green_os_modules": {"os"},
    "_green_select_modules": {"select", "selectors"},
    "_green_socket_modules": {"socket", "ssl"},
    "_green_subprocess_modules": {"subprocess"},
    "_green_thread_modules": {"_thread", "queue", "threading"},
    "_green_time_modules": {"time"},
}


@pytest.mark.parametrize("function", PATCHED)
def test_private_functions_tell_what_is_patched(function):
    """Each module comes with its green twin, whose `__patched__` names are there."""
    pairs = dict(getattr(patcher, function)())
    assert pairs.keys() == PATCHED[function]
    for name, green in pairs.items():
        assert green.__name__.startswith("eventlet.green.")
        # Some are there on newer versions of CPython alone.
        assert any(hasattr(green, patched) for patched in green.__patched__), name


UNDO = """
import sys
import eventlet
from eventlet import patcher

eventlet.monkey_patch()
for function in {functions}:
    for name, green in getattr(patcher, function)():
        for attribute in green.__patched__:
            original = getattr(patcher.original(name), attribute, None)
            setattr(sys.modules[name], attribute, original)

import os, queue, socket, threading, time
read, write = os.pipe()
begun = threading.Event()
thread = threading.Thread(target=lambda: (begun.set(), os.write(write, b"x")))
thread.start()
assert os.read(read, 1) == b"x"
thread.join()
assert begun.is_set()
timer = threading.Timer(0.05, int)
timer.start()
timer.join()
with threading.RLock():
    pass
ends = socket.socketpair()
ends[0].sendall(b"text")
assert ends[1].recv(10) == b"text"
time.sleep(0.001)
waiting = queue.Queue()
waiting.put(1)
assert waiting.get() == 1
assert type(ends[0]) is patcher.original("socket").socket
"""


def test_what_private_functions_tell_undoes_the_patching(run_isolated):
    """What oslo.privsep does in a forked child works."""
    program = UNDO.format(functions=tuple(PATCHED))
    done = run_isolated(program, {"EVENTLET_HUB": "asyncio"})
    assert done.returncode == 0, done.stderr
