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
NATIVE = "eventlet_asyncio.gunicorn:NativeWorker"
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
        workers = [OWN, NATIVE] if HUB == "asyncio" else []
        if Path(folder, "gunicorn", "workers", "geventlet.py").exists():
            workers.append("eventlet")
        for worker in workers:
            kind = {OWN: "own", NATIVE: "native"}.get(worker, worker)
            name = f"{found.version}-{kind}"
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


def test_term_is_not_lost_while_a_worker_starts(kind, tmp_path):
    """The master asks once only, and then waits for as long as may be."""
    if kind[1] == "eventlet":
        pytest.skip("gunicorn's worker sets its handlers later")
    server = Server(kind, tmp_path)
    try:
        eventually(lambda: "Booting worker" in server.told(), server)
        time.sleep(0.05)
        server.process.send_signal(signal.SIGTERM)
        # Less than the time that workers get to end.
        assert server.process.wait(15) == 0, server.told()
    finally:
        server.end()


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


class Load:
    """
    Clients that keep asking, half of them on kept connections.

    A kept connection may be closed between two requests: then it is asked again on a new
    one, as every client does. Anything else that is no answer is lost.
    """

    def __init__(self, server, clients=8):
        self.server = server
        self.lost = []
        self.done = 0
        self._stop = False
        self._pool = ThreadPoolExecutor(clients)
        self._all = [self._pool.submit(self._ask, n % 2 == 0) for n in range(clients)]

    def _ask(self, keep):
        connection = None
        headers = {} if keep else {"Connection": "close"}
        while not self._stop:
            fresh = connection is None
            try:
                if fresh:
                    connection = http.client.HTTPConnection(
                        "127.0.0.1", self.server.port, timeout=30
                    )
                connection.request("GET", "/", headers=headers)
                answer = connection.getresponse()
                if answer.status != 200 or not answer.read().isdigit():
                    self.lost.append(answer.status)
                self.done += 1
                if not keep or answer.getheader("Connection") == "close":
                    connection.close()
                    connection = None
            except (OSError, http.client.HTTPException) as error:
                expected = (
                    http.client.RemoteDisconnected,
                    BrokenPipeError,
                    ConnectionResetError,
                )
                if fresh or not isinstance(error, expected):
                    self.lost.append(repr(error))
                connection.close()
                connection = None
        if connection is not None:
            connection.close()

    def more(self, requests):
        """Wait until so many more have been answered."""
        wanted = self.done + requests
        eventually(lambda: self.done >= wanted or self.lost, self.server)

    def end(self):
        """End the clients; return what was lost."""
        self._stop = True
        for client in self._all:
            client.result()
        self._pool.shutdown()
        return self.lost


@pytest.fixture
def load(kind):
    """Give a function that puts a server under load."""
    if kind[1] == "eventlet":
        # It closes its listener before all that were accepted have begun.
        pytest.skip("gunicorn's own worker loses requests, on upstream as well")
    running = []

    def start(server):
        running.append(Load(server))
        running[-1].more(20)
        return running[-1]

    yield start
    for one in running:
        one.end()


def test_term_refuses_new_clients_at_once(start):
    """They can try elsewhere, while the request in progress is answered."""
    server = start()
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(server.ask, "/held")
        eventually((server.folder / "begun").exists, server)
        server.process.send_signal(signal.SIGTERM)

        def refused():
            try:
                server.ask()
            except ConnectionRefusedError:
                return True
            except (OSError, http.client.HTTPException):
                pass
            return False

        eventually(refused, server)
        assert not held.done()
        (server.folder / "release").touch()
        assert held.result()[0] == 200
    assert server.process.wait(30) == 0, server.told()


def test_term_serves_who_has_connected(kind, start):
    """Connections that the kernel has accepted are answered: nobody is reset."""
    if kind[1] == "eventlet":
        pytest.skip("gunicorn's worker closes the listener without looking")
    server = start()
    # Both workers are stopped in the middle of what they do, so nobody accepts.
    workers = server.workers()
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    early = []
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        early.append(sock)
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
    for sock in early:
        sock.settimeout(30)
        assert sock.recv(100).startswith(b"HTTP/1.1 200 "), server.told()
        sock.close()


def test_term_serves_what_has_arrived_on_idle_connections(kind, start):
    """A request that lies in the kernel is answered before its connection ends."""
    if kind[1] == "eventlet":
        pytest.skip("gunicorn's worker lets idle connections time out")
    server = start("--keep-alive", "60")
    # In this order, or more clients would be needed to find both.
    workers = server.workers()
    kept = []
    for _ in range(20):
        sock = socket.create_connection(("127.0.0.1", server.port))
        sock.settimeout(30)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += sock.recv(1000)
        kept.append(sock)
    time.sleep(0.5)  # the last ones have reached their wait for the next request
    for pid in workers:
        os.kill(pid, signal.SIGSTOP)
    for sock in kept:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    for pid in workers:
        os.kill(pid, signal.SIGTERM)
        os.kill(pid, signal.SIGCONT)
    for sock in kept:
        answer = b""
        while more := sock.recv(1000):
            answer += more
        assert b"HTTP/1.1 200 " in answer
        assert b"Connection: close" in answer
        sock.close()


def test_no_request_is_lost_to_reloads(start, load):
    """SIGHUP three times under load."""
    server = start()
    clients = load(server)
    for _ in range(3):
        before = server.told().count("Booting worker")
        server.process.send_signal(signal.SIGHUP)
        eventually(
            lambda seen=before: server.told().count("Booting worker") >= seen + 2,
            server,
        )
        clients.more(100)
    assert clients.end() == []
    assert "Traceback" not in server.told()


def test_no_request_is_lost_to_more_and_fewer_workers(start, load):
    """SIGTTIN and SIGTTOU under load."""
    server = start()
    clients = load(server)
    for sign in (signal.SIGTTIN, signal.SIGTTOU, signal.SIGTTIN, signal.SIGTTOU):
        word = f"Handling signal: {sign.name[3:].lower()}"
        before = server.told().count(word)
        server.process.send_signal(sign)
        eventually(
            lambda word=word, seen=before: server.told().count(word) > seen, server
        )
        clients.more(100)
    assert clients.end() == []
    assert "Traceback" not in server.told()


def test_no_request_is_lost_to_max_requests(start, load):
    """Workers that have served their share end under load, one after the other."""
    server = start("--max-requests", "60")
    clients = load(server)
    clients.more(600)
    assert clients.end() == []
    assert server.told().count("Autorestarting worker") > 3
    assert "Traceback" not in server.told()


def test_no_request_is_lost_to_an_upgrade(start, load):
    """SIGUSR2 and the end of the old master under load."""
    server = start()
    clients = load(server)
    old = server.pid()
    server.process.send_signal(signal.SIGUSR2)
    eventually(lambda: server.pid("pid.2"), server)
    new = server.pid("pid.2")
    clients.more(100)
    os.kill(old, signal.SIGTERM)
    assert server.process.wait(60) == 0
    clients.more(100)
    assert clients.end() == []
    assert "Traceback" not in server.told()
    os.kill(new, signal.SIGTERM)
    eventually(lambda: not Path("/proc", str(new), "exe").exists(), server)


def test_hostile_client_does_not_stop_the_heartbeat(start):
    """The master kills a worker that it hears nothing of, here for three seconds."""
    server = start("--timeout", "3")
    chunks = b"1\r\na\r\n" * 100_000
    end = time.monotonic() + 8
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.sendall(
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        sock.settimeout(1)
        while time.monotonic() < end:
            with contextlib.suppress(TimeoutError):
                try:
                    sock.sendall(chunks)
                except OSError:
                    break
    assert server.ask()[0] == 200
    assert "WORKER TIMEOUT" not in server.told()


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x1\r\n",
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
    ],
    ids=["lengths", "hosts", "lines", "folded", "chunk", "coding"],
)
def test_native_parser_has_the_say(kind, start, request_):
    """Its worker refuses what `eventlet.wsgi` refuses, and nothing of it is logged as an error."""
    if kind[1] != NATIVE:
        pytest.skip("of the worker with our parser")
    server = start()
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(30)
        sock.sendall(request_)
        answer = b""
        while more := sock.recv(1000):
            answer += more
    assert answer.split(b" ")[1] in (b"400", b"501"), answer
    assert "Invalid request from ip=127.0.0.1" in server.told()
    assert "Traceback" not in server.told()


def test_native_parser_reads_pipelines_and_bodies(kind, start):
    """Each body ends where it ends, read or not."""
    if kind[1] != NATIVE:
        pytest.skip("of the worker with our parser")
    server = start()
    pipeline = (
        b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n0\r\nTrailer: x\r\n\r\n"
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /"
        b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n"
        b"Connection: x, Close\r\n\r\nend"
    )
    with socket.create_connection(("127.0.0.1", server.port)) as sock:
        sock.settimeout(30)
        sock.sendall(pipeline)
        answer = b""
        while more := sock.recv(1000):
            answer += more
    assert answer.count(b"HTTP/1.1 200 OK") == 3, answer
    assert b"\r\n\r\nabcHTTP/1.1" in answer
    assert answer.endswith(b"\r\n\r\nend")
    assert server.ask("/stream")[1] == b"".join(b"%d," % n for n in range(1000))
