"""A program that `run` runs cannot tell, but for the implementation it gets."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time

import pytest

MODULE = """
import sys, os, pickle, eventlet
from eventlet import hubs
class Local:
    pass
if __name__ == "__main__":
    print(eventlet.__file__.count("eventlet_asyncio"), sys.argv[1:])
    print(os.environ["EVENTLET_HUB"], type(hubs.get_hub().loop).__module__.split(".")[0])
    assert isinstance(pickle.loads(pickle.dumps(Local())), Local)
    import __main__
    assert __main__.Local is Local
    eventlet.sleep(0)
    if sys.argv[1:] == ["raise"]:
        raise ValueError("of the program")
    if sys.argv[1:] == ["leave"]:
        sys.exit(7)
"""


@pytest.fixture
def start(tmp_path):
    """Run the command line in a folder with a program."""
    (tmp_path / "app.py").write_text(MODULE)

    def start(*arguments, status=0, env=None):
        done = subprocess.run(
            [sys.executable, "-m", "eventlet_asyncio", *arguments],
            env={"PATH": os.environ["PATH"]} | (env or {}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
        )
        assert done.returncode == status, (done.stdout, done.stderr)
        return done

    return start


@pytest.mark.parametrize("program", [("app.py",), ("-m", "app"), ("./app.py",)])
def test_program_runs_activated(start, program):
    """By its path or as a module, with its own arguments and options."""
    done = start("run", *program, "one", "--two", "-m", "x")
    assert done.stdout.splitlines() == [
        "1 ['one', '--two', '-m', 'x']",
        "asyncio asyncio",
    ]
    assert done.stderr == ""


def test_folder_and_archive_run(start, tmp_path):
    """As the interpreter runs them."""
    import zipfile

    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "__main__.py").write_text("import eventlet, sys; print(sys.argv[1:])")
    assert start("run", "folder", "a").stdout == "['a']\n"
    with zipfile.ZipFile(tmp_path / "app.pyz", "w") as archive:
        archive.writestr("__main__.py", "print('archived')")
    assert start("run", "app.pyz").stdout == "archived\n"


def test_loop_is_chosen(start):
    """By name, and as a factory; the hub's loop is of that kind."""
    pytest.importorskip("uvloop")
    for loop in ("uvloop", "uvloop:new_event_loop"):
        assert "asyncio uvloop" in start("run", "--loop", loop, "app.py").stdout
    chosen = {"EVENTLET_ASYNCIO_LOOP": "uvloop:new_event_loop"}
    assert (
        "asyncio asyncio"
        in start("run", "--loop", "asyncio", "app.py", env=chosen).stdout
    )


def test_end_of_the_program_is_the_end_of_the_command(start):
    """Status and traceback are the program's own."""
    done = start("run", "app.py", "raise", status=1)
    assert done.stderr.startswith("Traceback (most recent call last):\n")
    assert "eventlet_asyncio" not in done.stderr
    assert done.stderr.endswith("ValueError: of the program\n")
    start("run", "app.py", "leave", status=7)
    done = start("run", "-m", "app", "raise", status=1)
    assert "runpy" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), "EA502"),
        (("-m",), "EA502"),
        (("missing.py",), "EA502"),
        (("--loop", "nonsense", "app.py"), "EA501"),
        (("--loop", "nonsense:new", "app.py"), "EA501"),
        (("--evidence", "missing/e.json", "app.py"), "EA504"),
        (("--trace-blocking", "0", "app.py"), "EA505"),
        (("--console", "missing/socket", "app.py"), "EA506"),
    ],
)
def test_wrong_use_is_told(start, arguments, code):
    """With 2, a code, and before the program has begun."""
    done = start("run", *arguments, status=2)
    assert code in done.stderr
    assert done.stdout == ""


def test_disabled_is_told(start):
    """A program that asked for this implementation does not get another."""
    env = {"EVENTLET_ASYNCIO_DISABLE": "1"}
    assert "EA503" in start("run", "app.py", status=2, env=env).stderr


def test_evidence_is_written_by_each_process(start, tmp_path):
    """The program's in the file, a forked child's beside it."""
    (tmp_path / "forks.py").write_text(
        "import eventlet, os, sys\n"
        "eventlet.sleep(0)\n"
        "child = os.fork()\n"
        "if child:\n    os.waitpid(child, 0)\n"
        "else:\n    eventlet.sleep(0)\n    sys.exit()\n"
    )
    start("run", "--evidence", "e.json", "forks.py")
    first, *rest = sorted(tmp_path.glob("e.json*"))
    assert first.name == "e.json"
    lines = [
        [site["line"] for site in json.loads(path.read_text())["sites"]]
        for path in (first, *rest)
    ]
    assert lines == [[2], [7]]
    (site,) = json.loads(first.read_text())["sites"]
    assert site["function"] == "forks:<module>"
    assert site["callers"] == []


def test_blocking_is_shown_with_its_stack(start, tmp_path):
    """A computing green thread and a blocking coroutine; what waits is not shown."""
    (tmp_path / "blocks.py").write_text(
        "import eventlet, time\n"
        "from eventlet.asyncio import spawn_for_awaitable\n"
        "def computes():\n"
        "    end = time.perf_counter() + 0.4\n"
        "    while time.perf_counter() < end: pass\n"
        "async def blocks():\n"
        "    time.sleep(0.4)\n"
        "eventlet.sleep(0.4)\n"
        "eventlet.spawn(computes).wait()\n"
        "spawn_for_awaitable(blocks()).wait()\n"
        "eventlet.sleep(0.4)\n"
    )
    done = start("run", "--trace-blocking", "100", "blocks.py")
    assert "line 5, in computes" in done.stderr
    assert "line 7, in blocks" in done.stderr
    assert "cli/run.py" not in done.stderr
    assert "in <module>" not in done.stderr
    assert "blocking: 2 times in all" in done.stderr


def test_console_answers_inside_the_program(tmp_path):
    """Only for this user, with the program's names, and gone at the end."""
    path = tmp_path / "console"
    (tmp_path / "serves.py").write_text(
        "import eventlet, sys\nanswer = 41\ndone = eventlet.event.Event()\n"
        "print('ready', flush=True)\ndone.wait()\n"
    )
    command = [sys.executable, "-m", "eventlet_asyncio", "run"]
    with subprocess.Popen(
        [*command, "--console", str(path), "serves.py"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            assert path.stat().st_mode & 0o777 == 0o700
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(30)
                client.connect(str(path))
                client.sendall(b"answer + 1\n")
                said = b""
                while b"42" not in said:
                    part = client.recv(4096)
                    assert part, said
                    said += part
                client.sendall(b"done.send()\n")
                while client.recv(4096):
                    pass
            assert process.wait(30) == 0
        finally:
            process.kill()
    assert not path.exists()


def test_version_is_known_everywhere(start):
    """By the command and by each subcommand."""
    from eventlet_asyncio.cli.main import COMMANDS

    expected = start("--version").stdout
    assert expected.startswith("eventlet-asyncio ")
    for name in COMMANDS:
        assert start(name, "--version").stdout == expected


def test_commands_start_quickly(tmp_path):
    """Below 60 ms of processor time beyond the interpreter's own."""

    def seconds(*arguments):
        best = float("inf")
        for _ in range(7):
            before = os.times()
            subprocess.run(
                [sys.executable, *arguments],
                check=True,
                capture_output=True,
                cwd=tmp_path,
            )
            after = os.times()
            best = min(
                best,
                after.children_user
                + after.children_system
                - before.children_user
                - before.children_system,
            )
        return best

    began = time.monotonic()
    alone = seconds("-c", "pass")
    assert seconds("-m", "eventlet_asyncio", "run", "--help") - alone < 0.06
    assert time.monotonic() - began < 50
