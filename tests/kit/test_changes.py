"""``rewrite``, ``plan``, ``explain`` and the baseline, through the command line."""

from __future__ import annotations

import json
import subprocess
from collections import Counter
from pathlib import Path
from runpy import run_path

import pytest

_HELPERS = run_path(str(Path(__file__).with_name("test_scan.py")))
cli, scan = _HELPERS["cli"], _HELPERS["scan"]

APP = {
    "app/__init__.py": "",
    "app/main.py": (
        "import eventlet\n"
        "eventlet.monkey_patch()\n"
        "from app import worker\n\n"
        "def main():\n"
        "    worker.loop()\n"
    ),
    "app/worker.py": (
        "import eventlet  # the old way\r\n"
        "from eventlet import sleep, spawn\r\n"
        "from eventlet.green import socket\r\n"
        "\r\n"
        "\r\n"
        "def loop():\r\n"
        "    eventlet.sleep( 1 )   # keep this\r\n"
        "    sleep()\r\n"
        "    sleep(seconds=2)\r\n"
        "    return fetch()\r\n"
        "\r\n"
        "\r\n"
        "def fetch():\r\n"
        "    sock = socket.create_connection(('a', 1))\r\n"
        "    return sock\r\n"
        "\r\n"
        "\r\n"
        "def start():\r\n"
        "    spawn(loop)\r\n"
        "\r\n"
        "\r\n"
        "def pure():\r\n"
        "    return 1\r\n"
    ),
    "tests/test_worker.py": (
        "from unittest import mock\n\n\n"
        "@mock.patch('eventlet.sleep')\n"
        "@mock.patch('app.worker.sleep')\n"
        "def test_loop(one, two):\n"
        "    pass\n"
    ),
}


@pytest.fixture
def app(tmp_path):
    """Write the small application."""
    for name, text in APP.items():
        target = tmp_path / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    return tmp_path


def rewrite(folder, *arguments, status=0):
    """Run ``rewrite`` on a folder; return what it printed."""
    done = cli("rewrite", *arguments, "--no-cache", ".", cwd=folder)
    assert done.returncode == status, done.stderr
    return done.stdout


def test_safe_rewrite_changes_names_and_nothing_else(app):
    """Names and their imports change; comments, spaces and line ends stay."""
    rewrite(app, "all", "--target", "threads", "--write")
    assert (app / "app/worker.py").read_bytes().decode().splitlines()[:11] == [
        "import time  # the old way",
        "from time import sleep",
        "from eventlet import spawn",
        "import socket",
        "",
        "",
        "def loop():",
        "    time.sleep( 1 )   # keep this",
        "    sleep(0)",
        "    sleep(2)",
        "    return fetch()",
    ]
    assert b"\n" not in (app / "app/worker.py").read_bytes().replace(b"\r\n", b"")
    text = (app / "tests/test_worker.py").read_text()
    assert "'time.sleep'" in text
    assert "'app.worker.sleep'" in text


def test_second_rewrite_changes_nothing(app):
    """A rewrite leaves nothing for a second one."""
    rewrite(app, "sleep", "green", "--target", "threads", "--write")
    before = {path: path.read_bytes() for path in app.rglob("*.py")}
    rewrite(app, "sleep", "green", "--target", "threads", "--check")
    rewrite(app, "sleep", "green", "--target", "threads", "--write")
    assert before == {path: path.read_bytes() for path in app.rglob("*.py")}


def test_nothing_is_safe_where_nothing_is_patched(app):
    """Without monkey_patch the standard functions would block the hub."""
    (app / "app/main.py").write_text("from app import worker\n")
    rewrite(app, "sleep", "--target", "threads", "--check")
    rewrite(app, "sleep", "--target", "threads", "--check", "--unsafe", status=1)


def test_nothing_is_safe_where_a_test_runs_it_unpatched(app):
    """A test may be run alone, and expects what the module does then."""
    (app / "tests/test_alone.py").write_text(
        "from app import worker\n\n\ndef test_it():\n    worker.fetch()\n"
    )
    rewrite(app, "green", "--target", "threads", "--check")
    rewrite(app, "green", "--target", "threads", "--check", "--unsafe", status=1)
    (app / "conftest.py").write_text("import eventlet\neventlet.monkey_patch()\n")
    rewrite(app, "green", "--target", "threads", "--check", status=1)


def test_diff_writes_nothing(app):
    """A diff is printed, and the files stay."""
    before = (app / "app/worker.py").read_bytes()
    out = rewrite(app, "EV102", "--target", "threads", "--diff", status=1)
    assert "+    time.sleep( 1 )   # keep this" in out
    assert (app / "app/worker.py").read_bytes() == before


def test_dirty_tree_is_refused(app):
    """What cannot be undone is not begun."""
    for command in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *command], cwd=app, check=True)
    (app / "app/main.py").write_text(APP["app/main.py"] + "# more\n")
    done = cli("rewrite", "sleep", "--write", "--no-cache", ".", cwd=app)
    assert done.returncode == 2
    assert "not committed" in done.stderr
    rewrite(app, "sleep", "--target", "threads", "--write", "--force")


def test_a_kept_line_is_kept(app):
    """Whoever says that a line stays has the last word."""
    worker = app / "app/worker.py"
    text = worker.read_text().replace("# keep this", "# eventlet: keep(a reason)")
    worker.write_text(text)
    rewrite(app, "sleep", "--target", "threads", "--write")
    assert "eventlet.sleep( 1 )" in worker.read_text()


def test_facade_moves_imports_and_no_count(app):
    """One module imports Eventlet for all; what is counted stays the same."""
    count = lambda found: Counter(  # noqa: E731 - said once, used twice
        (f["symbol"], f["rule"]) for f in found["findings"] if f["kind"] != "hazard"
    )
    before = count(scan(app))
    rewrite(app, "facade", "--module", "app.concurrency", "--write")
    worker = (app / "app/worker.py").read_text()
    assert "from app.concurrency import sleep, spawn" in worker
    assert "import eventlet\n" not in worker
    assert count(scan(app)) == before
    rewrite(app, "facade", "--module", "app.concurrency", "--check")


def test_calls_in_coroutines_are_awaited(tmp_path):
    """To asyncio: sleep, tpool and time limits where they stand in a coroutine."""
    before = """\
from __future__ import annotations

import eventlet
from eventlet import tpool


async def work(size):
    eventlet.sleep()
    eventlet.sleep(seconds=2)
    done = tpool.execute(len, size)
    with eventlet.Timeout(3):
        eventlet.sleep(1)
    with eventlet.Timeout(3) as limit:
        return done


def plain():
    eventlet.sleep(1)
"""
    after = """\
from __future__ import annotations

import asyncio
import eventlet
from eventlet import tpool


async def work(size):
    await asyncio.sleep(0)
    await asyncio.sleep(2)
    done = await asyncio.to_thread(len, size)
    async with asyncio.timeout(3):
        await asyncio.sleep(1)
    with eventlet.Timeout(3) as limit:
        return done


def plain():
    eventlet.sleep(1)
"""
    file = tmp_path / "work.py"
    file.write_text(before)
    command = ("rewrite", "all", "--target", "asyncio", "--unsafe", "--write")
    assert cli(*command, "--force", cwd=tmp_path).returncode == 0
    assert file.read_text() == after
    again = cli(*command, "--force", cwd=tmp_path)
    assert again.stdout == "0 files changed\n"


def test_a_class_is_promised_only_where_there_is_an_edit(tmp_path):
    """What no program changes is manual."""
    text = """\
import eventlet
from eventlet import patcher

eventlet.spawn(print)
pool = eventlet.GreenPool(3)
time = patcher.original("time")
"""
    (tmp_path / "work.py").write_text(text)
    found = scan(tmp_path)["findings"]
    fixes = {each["symbol"]: each["fix"]["threads"] for each in found}
    assert fixes["eventlet.greenthread.spawn"] == "manual"
    assert fixes["eventlet.greenpool.GreenPool"] == "manual"
    assert fixes["eventlet.patcher.original"] == "safe"
    command = ("rewrite", "all", "--target", "threads", "--write", "--force")
    assert cli(*command, cwd=tmp_path).returncode == 0
    new = (tmp_path / "work.py").read_text()
    assert 'time = importlib.import_module("time")' in new
    assert "import importlib\n" in new


def test_unknown_rule_is_told(app):
    """A misspelt rule is wrong use."""
    done = cli("rewrite", "EV999", "--check", "--no-cache", ".", cwd=app)
    assert done.returncode == 2
    assert "EV999" in done.stderr


def test_plan_puts_callees_first(app):
    """Steps come after what they call, and the proof ends at the switch."""
    done = cli("plan", "--target", "asyncio", "--format", "json", "--no-cache", cwd=app)
    assert done.returncode == 1, done.stderr
    plan = json.loads(done.stdout)
    order = [f["name"] for step in plan["steps"] for f in step["functions"]]
    assert order.index("app.worker:fetch") < order.index("app.worker:loop")
    assert order.index("app.worker:loop") < order.index("app.main:main")
    assert "app.worker:start" not in order
    assert plan["colours"]["app.worker:pure"] == "never"
    assert plan["colours"]["app.worker:loop"] == "must"
    last = plan["steps"][-1]["proof"][-1]
    assert last["symbol"] == "eventlet.greenthread.sleep"
    only = cli("plan", "--from", "app.worker:fetch", "--format", "json", cwd=app)
    assert len(json.loads(only.stdout)["steps"]) == 1
    for form in ("text", "dot", "md"):
        assert "fetch" in cli("plan", "--format", form, "--no-cache", cwd=app).stdout


def test_plan_needs_a_function_that_exists(app):
    """A name that is not there is wrong use."""
    assert cli("plan", "--from", "app:nothing", cwd=app).returncode == 2


def test_baseline_is_a_ratchet(app):
    """Moves and renames pass, new uses fail, and what has gone stays away."""
    check = ("scan", "--no-cache", "--baseline", "check", "--select", "EV1")
    cli("scan", "--no-cache", "--baseline", "write", "--select", "EV1", cwd=app)
    assert cli(*check, cwd=app).returncode == 0
    worker = app / "app/worker.py"
    worker.rename(app / "app/jobs.py")
    (app / "app/main.py").write_text(APP["app/main.py"].replace("worker", "jobs"))
    assert cli(*check, cwd=app).returncode == 0
    jobs = app / "app/jobs.py"
    jobs.write_text(jobs.read_text() + "\n\ndef more():\n    eventlet.sleep(9)\n")
    done = cli(*check, cwd=app)
    assert done.returncode == 1
    assert "jobs.py:27" in done.stdout
    jobs.write_text(
        jobs.read_text()
        .replace("    sleep(seconds=2)", "    pass")
        .split("\n\n\ndef more")[0]
        + "\n"
    )
    assert cli(*check, "--strict", cwd=app).returncode == 1
    assert cli(*check, cwd=app).returncode == 0
    assert cli(*check, "--strict", cwd=app).returncode == 0


def test_explain_knows_every_rule(app):
    """Each rule of the table has its text."""
    listed = cli("explain", cwd=app).stdout.splitlines()
    assert len(listed) > 45
    assert cli("explain", "EV130", cwd=app).stdout.startswith("EV130: ")
    assert cli("explain", "EV999", cwd=app).returncode == 2


def test_odd_files_are_told_and_the_rest_is_scanned(app):
    """Encodings, line ends and broken files end no scan."""
    (app / "app/latin.py").write_bytes(
        b"# coding: latin-1\nimport eventlet\neventlet.sleep(1)  # \xe9\n"
    )
    (app / "app/broken.py").write_bytes(
        b"import eventlet\neventlet.sleep(1)\ndef f(:\n"
    )
    (app / "app/binary.py").write_bytes(b"\xff\xfe\x00\x01")
    (app / "app/bom.py").write_bytes(
        b"\xef\xbb\xbfimport eventlet\r\n\x0ceventlet.sleep(1)\r\n"
    )
    (app / "app/long.py").write_text(
        "import eventlet\n" + "x = 1\n" * 50_000 + "eventlet.sleep(1)\n"
    )
    (app / "app/deep.py").write_text(
        "x = " + "(" * 5000 + ")" * 5000 + "\n" + "y = " + "-" * 20_000 + "1\n"
    )
    (app / "loop").symlink_to(app)
    (app / "pyproject.toml").write_text("[tool.eventlet-asyncio\n")
    done = cli("scan", "--no-cache", "--format", "json", cwd=app)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "pyproject.toml" in done.stderr
    found = {
        (f["path"], f["line"], f["rule"]) for f in json.loads(done.stdout)["findings"]
    }
    assert ("app/latin.py", 3, "EV102") in found
    assert ("app/broken.py", 2, "EV102") in found
    assert ("app/broken.py", 3, "EV001") in found
    assert ("app/binary.py", 1, "EV001") in found
    assert ("app/bom.py", 2, "EV102") in found
    assert ("app/long.py", 50_002, "EV102") in found


def test_cache_changes_nothing_but_the_time(app, tmp_path):
    """A second scan reads facts from the cache, and sees what has changed."""
    home = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    first = cli("scan", cwd=app / "app", env=home).stdout
    again = cli("scan", cwd=app / "app", env=home).stdout
    assert first.split("\nfindings in")[0].count("EV") == again.count("EV")
    assert list((tmp_path / "cache").rglob("*.bin"))
    (app / "app/new.py").write_text("import eventlet\neventlet.sleep(3)\n")
    assert "new.py:2" in cli("scan", cwd=app / "app", env=home).stdout


def test_documentation_has_the_rules_as_they_are(app):
    """The page of the rules is what ``explain`` prints."""
    page = Path(__file__).parents[2] / "docs" / "reference" / "rules.md"
    printed = cli("explain", "--format", "markdown", cwd=app).stdout
    assert page.read_text() == printed
