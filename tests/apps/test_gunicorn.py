"""
gunicorn's workers on green threads: its own eventlet worker, and ours.

``APPS_GUNICORN`` names folders, separated as in ``PATH``, that each hold one
version of gunicorn.  The worker ``eventlet`` is tried on those that have it.
"""

from __future__ import annotations

import contextlib
import http.client
import importlib.metadata
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.apps.servers import HUB, free_port

OWN = "eventlet_asyncio.gunicorn:Worker"
DATA = Path(__file__).parents[1] / "data"

APPLICATION = """
import os, time
from eventlet import patcher

def app(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Content-Type", "text/plain")]
    if path == "/late":
        time.sleep(0.5)
    if path == "/held":
        open("begun", "w").close()
        while not os.path.exists("release"):
            time.sleep(0.01)
    if path == "/file":
        start_response("200 OK", headers)
        return environ["wsgi.file_wrapper"](open(__file__, "rb"))
    if path == "/stream":
        start_response("200 OK", headers)
        return (b"%d," % number for number in range(1000))
    if path == "/fail":
        raise RuntimeError("as asked")
    if path == "/patched":
        body = str(patcher.is_monkey_patched("socket")).encode()
    elif path == "/echo":
        body = environ["wsgi.input"].read()
    else:
        body = str(os.getpid()).encode()
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]
"""


def versions():
    """List the versions there are, each with the workers to try."""
    for folder in filter(None, os.environ.get("APPS_GUNICORN", "").split(os.pathsep)):
        (found,) = importlib.metadata.distributions(name="gunicorn", path=[folder])
        workers = [OWN] if HUB == "asyncio" else []
        if Path(folder, "gunicorn", "workers", "geventlet.py").exists():
            workers.append("eventlet")
        for worker in workers:
            name = f"{found.version}-{'own' if worker == OWN else worker}"
            yield pytest.param((folder, worker), id=name)


pytestmark = [
    pytest.mark.timeout(120),
    pytest.mark.parametrize("kind", list(versions())),
]


class Server:
    """A running gunicorn, or several after an upgrade."""

    def __init__(self, kind, folder, *options, bind=None, family=socket.AF_INET):
        self.folder = folder
        self.family = family
        self.port = free_port()
        self.secure = "--certfile" in options
        where, worker = kind
        (folder / "application.py").write_text(APPLICATION)
        self.log = folder / "log"
        command = [
            sys.executable, f"{where}/bin/gunicorn", "-k", worker, "-w", "2",
            "-b", bind or f"127.0.0.1:{self.port}", "--pid", str(folder / "pid"),
            "--error-logfile", str(self.log), "--graceful-timeout", "20",
            *options, "application:app",
        ]  # fmt: skip
        env = {**os.environ, "EVENTLET_HUB": HUB, "PYTHONPATH": where}
        env["HOME"] = str(folder)
        self.process = subprocess.Popen(
            command, cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip

    def ask(self, path="/", body=None):
        """Return what one request on a connection of its own is answered."""
        if self.secure:
            trust = ssl.create_default_context(cafile=DATA / "localhost.crt")
            connection = http.client.HTTPSConnection(
                "localhost", self.port, context=trust, timeout=30
            )
        else:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        with contextlib.closing(connection):
            if self.family == socket.AF_UNIX:
                connection.sock = socket.socket(socket.AF_UNIX)
                connection.sock.connect(str(self.folder / "s"))
            connection.request("GET" if body is None else "POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def workers(self, least=2):
        """Wait until that many workers answer; return their process IDs."""
        end = time.monotonic() + 40
        found = set()
        while len(found) < least:
            assert time.monotonic() < end, self.told()
            with (
                contextlib.suppress(OSError, http.client.HTTPException),
                ThreadPoolExecutor(8) as pool,
            ):
                found |= set(pool.map(lambda _: self.ask("/late")[1], range(8)))
        return {int(pid) for pid in found}

    def told(self):
        """Return what gunicorn has logged."""
        return self.log.read_text() if self.log.exists() else "(no log)"

    def pid(self, name="pid"):
        """Return the process ID in a file; 0 while there is none."""
        with contextlib.suppress(OSError, ValueError):
            return int((self.folder / name).read_text())
        return 0

    def end(self):
        """End whatever is left of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def start(kind, tmp_path):
    """Give a function that starts gunicorn and waits until it answers."""
    running = []

    def make(*options, **named):
        running.append(Server(kind, tmp_path, *options, **named))
        running[-1].workers(1)
        return running[-1]

    yield make
    for server in running:
        server.end()


def eventually(condition, server):
    """Wait until something holds that other processes bring about."""
    end = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < end, server.told()
        time.sleep(0.05)


def test_requests_overlap_in_two_workers(start):
    """Forty late requests take the time of one, and both workers take part."""
    server = start()
    begin = time.monotonic()
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: server.ask("/late"), range(40)))
    assert time.monotonic() - begin < 8
    assert {status for status, _ in answers} == {200}
    assert len(server.workers()) == 2
    assert server.ask("/patched") == (200, b"True")


def test_bodies_of_every_kind_arrive(start):
    """Files, generators, large uploads, and an application that fails."""
    server = start()
    assert server.ask("/file") == (200, APPLICATION.encode())
    assert server.ask("/stream") == (200, b"".join(b"%d," % n for n in range(1000)))
    large = os.urandom(1 << 20)
    assert server.ask("/echo", large) == (200, large)
    assert server.ask("/fail")[0] == 500
    assert "as asked" in server.told()
    assert server.ask()[0] == 200


def test_term_finishes_what_has_begun(start):
    """At SIGTERM a request in progress is answered, idle connections do not delay."""
    server = start("--keep-alive", "60")
    idle = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    idle.request("GET", "/")
    assert idle.getresponse().read()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.ask, "/held")
        eventually((server.folder / "begun").exists, server)
        server.process.send_signal(signal.SIGTERM)
        eventually(lambda: "Handling signal: term" in server.told(), server)
        assert not held.done()
        (server.folder / "release").touch()
        assert held.result()[0] == 200
    idle.close()
    assert server.process.wait(30) == 0, server.told()
    assert "SIGKILL" not in server.told()


def test_quit_ends_at_once(start):
    """SIGQUIT does not wait for requests."""
    server = start()
    server.process.send_signal(signal.SIGQUIT)
    assert server.process.wait(15) == 0, server.told()


def test_hup_replaces_the_workers(start):
    """SIGHUP starts new workers, and no request in between is lost."""
    server = start()
    before = server.workers()
    server.process.send_signal(signal.SIGHUP)
    after = set()

    def replaced():
        status, body = server.ask()
        assert status == 200
        after.add(int(body))
        return len(after - before) == 2

    eventually(replaced, server)
    assert server.process.poll() is None


def test_usr2_hands_over_to_a_new_master(start):
    """SIGUSR2 starts a new master beside the old one, which can then be ended."""
    server = start()
    old = server.pid()
    server.process.send_signal(signal.SIGUSR2)
    eventually(lambda: server.pid("pid.2"), server)
    new = server.pid("pid.2")
    assert new != old
    eventually(lambda: len(server.workers(3)) >= 3, server)
    os.kill(old, signal.SIGTERM)
    assert server.process.wait(30) == 0
    eventually(lambda: server.pid() == new, server)
    assert server.ask()[0] == 200
    os.kill(new, signal.SIGTERM)
    eventually(lambda: not Path("/proc", str(new), "exe").exists(), server)


def test_killed_worker_is_replaced(start):
    """After kill -9 of a worker the other one answers, and soon two do."""
    server = start()
    killed = min(server.workers())
    os.kill(killed, signal.SIGKILL)
    eventually(lambda: len(server.workers() - {killed}) == 2, server)
    assert server.ask("/patched") == (200, b"True")


def test_workers_end_after_max_requests(start):
    """A worker that has served its share makes room for a fresh one."""
    server = start("--max-requests", "20")
    seen = set()

    def renewed():
        status, body = server.ask()
        seen.add(body)
        return status == 200 and len(seen) > 4

    eventually(renewed, server)
    # At any time two of them serve, so that more must have followed one another.
    assert len(seen) > 4


def test_tls(start):
    """Connections are encrypted if there is a certificate."""
    server = start(
        "--certfile", str(DATA / "localhost.crt"),
        "--keyfile", str(DATA / "localhost.key"),
    )  # fmt: skip
    large = os.urandom(1 << 20)
    assert server.ask("/echo", large) == (200, large)
    assert server.ask("/file") == (200, APPLICATION.encode())
    # Who speaks plainly, or not at all, disturbs nobody.
    with socket.create_connection(("127.0.0.1", server.port)) as plain:
        plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
        with socket.create_connection(("127.0.0.1", server.port)):
            assert server.ask()[0] == 200


def test_unix_socket_and_preload(start, tmp_path):
    """The listener may be a path, and the application be loaded before the fork."""
    server = start(
        "--preload", bind=f"unix:{tmp_path / 's'}", family=socket.AF_UNIX
    )  # fmt: skip
    assert server.ask()[0] == 200
    assert len(server.workers()) == 2
