"""
Start and stop the servers that applications talk to.

Each function is a context manager that gives the address as a URL.  A server is
what Debian installs, but runs as an unprivileged user, listens on loopback at a
port of its own, and keeps its data in the folder it is given.  A server that is
not installed is a reason to skip, which the message names.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

HUB = os.environ.get("APPS_HUB", "asyncio")
"""What applications run on: this distribution on ``asyncio``, else upstream's hub."""

PATIENCE = 90.0
"""Seconds that a server may take to answer; a Java or Erlang start on a busy machine."""


def free_port() -> int:
    """Return a port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def find(program: str, package: str, *folders: str) -> str:
    """Return a program's path; skip the test if the Debian package is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", *folders])
    found = shutil.which(program, path=path)
    if found is None:
        pytest.skip(f"no {program}; install the Debian package {package}")
    return found


def user() -> dict[str, str]:
    """Return the keyword for subprocess that sheds root's privileges."""
    return {"user": "nobody"} if os.geteuid() == 0 else {}


def hand_over(folder: Path) -> Path:
    """Make a folder that the servers' user can write to."""
    folder.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        # A server's user must be able to come here through pytest's own folders.
        for above in folder.parents:
            if above.stat().st_uid == 0 and not above.stat().st_mode & 0o001:
                above.chmod(above.stat().st_mode | 0o011)
    return folder


def answers(port: int) -> bool:
    """Say whether something accepts connections at a port."""
    with contextlib.suppress(OSError):
        socket.create_connection(("127.0.0.1", port), 1).close()
        return True
    return False


def environment(folder: Path, more: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables of a server: its folder is all it may write to."""
    return {**os.environ, "HOME": str(folder), "TMPDIR": str(folder), **(more or {})}


def run(command: list[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a command of preparation to its end, as the servers' user."""
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, env),
        capture_output=True, text=True, check=False, timeout=PATIENCE, **user(),
    )  # fmt: skip
    if done.returncode:
        pytest.fail(f"{command[0]} failed\n{done.stdout}\n{done.stderr}")


@contextlib.contextmanager
def serving(
    command: list[str],
    folder: Path,
    ready: Callable[[], bool],
    env: Mapping[str, str] | None = None,
    stop: signal.Signals = signal.SIGTERM,
) -> Iterator[None]:
    """Keep a server process while the block runs, and all its children with it."""
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment(folder, env),
            stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True, **user(),
        )  # fmt: skip
    end = time.monotonic() + PATIENCE
    try:
        while not ready():
            if process.poll() is not None or time.monotonic() > end:
                pytest.fail(f"{command[0]} does not serve\n{log.read_text()[-4000:]}")
            time.sleep(0.1)
        yield
    finally:
        process.send_signal(stop)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """Serve Redis, without persistence."""
    program = find("redis-server", "redis-server")
    hand_over(folder)
    port = free_port()
    command = [program, "--bind", "127.0.0.1", "--port", str(port), "--save", ""]
    with serving(command, folder, lambda: answers(port)):
        yield f"redis://127.0.0.1:{port}/0"


@contextlib.contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """Serve PostgreSQL with one database named ``apps``."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin"))[-1:]
    folders = [str(path) for path in newest]
    initdb = find("initdb", "postgresql", *folders)
    program = find("postgres", "postgresql", *folders)
    data = str(hand_over(folder) / "data")
    run([initdb, "-D", data, "-U", "apps", "-A", "trust", "-N"], folder)
    port = free_port()
    ready = find("pg_isready", "postgresql-client", *folders)
    asked = [ready, "-q", "-h", "127.0.0.1", "-p", str(port)]
    command = [
        program, "-D", data, "-p", str(port), "-k", "", "-c", "fsync=off",
        "-c", "listen_addresses=127.0.0.1",
    ]  # fmt: skip
    # The interrupt asks for a quick end, which does not wait for clients.
    with serving(
        command, folder, lambda: not subprocess.call(asked), stop=signal.SIGINT
    ):
        make = find("createdb", "postgresql-client", *folders)
        run(
            [make, "-h", "127.0.0.1", "-p", str(port), "-U", "apps", "apps"],
            folder,
        )
        yield f"postgresql://apps@127.0.0.1:{port}/apps"


@contextlib.contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """Serve MariaDB with one user and one database, both named ``apps``."""
    install = find("mariadb-install-db", "mariadb-server")
    program = find("mariadbd", "mariadb-server")
    data = hand_over(folder / "data")
    hand_over(folder)
    run(
        [
            install, "--no-defaults", f"--datadir={data}", "--skip-test-db",
            "--auth-root-authentication-method=normal",
        ],
        folder,
    )  # fmt: skip
    made = folder / "init.sql"
    made.write_text(
        "CREATE DATABASE apps;\n"
        "CREATE USER 'apps'@'127.0.0.1' IDENTIFIED BY 'apps';\n"
        "GRANT ALL ON *.* TO 'apps'@'127.0.0.1';\n"
    )
    made.chmod(0o644)
    port = free_port()
    command = [
        program, "--no-defaults", f"--datadir={data}", f"--port={port}",
        "--bind-address=127.0.0.1", f"--socket={folder}/s", f"--init-file={made}",
        "--skip-name-resolve", f"--pid-file={folder}/pid",
    ]  # fmt: skip
    with serving(command, folder, lambda: answers(port)):
        yield f"mysql://apps:apps@127.0.0.1:{port}/apps"


@contextlib.contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """Serve RabbitMQ, with a port mapper of its own."""
    program = find("rabbitmq-server", "rabbitmq-server", "/usr/lib/rabbitmq/bin")
    program = str(Path("/usr/lib/rabbitmq/bin/rabbitmq-server"))
    epmd = find("epmd", "erlang-base")
    hand_over(folder)
    port, mapper, distribution = free_port(), free_port(), free_port()
    plugins = folder / "plugins"
    plugins.write_text("[].")
    plugins.chmod(0o644)
    env = {
        "ERL_EPMD_PORT": str(mapper),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_NODENAME": f"apps{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "logs"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(plugins),
        "RABBITMQ_CONF_ENV_FILE": str(folder / "none"),
    }
    mapping = serving([epmd], hand_over(folder / "epmd"), lambda: answers(mapper), env)
    with mapping, serving([program], folder, lambda: answers(port), env):
        yield f"amqp://guest:guest@127.0.0.1:{port}//"


@contextlib.contextmanager
def zookeeper(folder: Path) -> Iterator[str]:
    """Serve ZooKeeper on its own; gives ``host:port`` as its clients want it."""
    java = find("java", "default-jre-headless")
    jar = Path("/usr/share/java/zookeeper.jar")
    if not jar.exists():
        pytest.skip("no zookeeper.jar; install the Debian package zookeeper")
    hand_over(folder)
    port = free_port()
    settings = folder / "zoo.cfg"
    settings.write_text(
        f"dataDir={folder}/data\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
        "tickTime=500\nadmin.enableServer=false\n4lw.commands.whitelist=ruok\n"
    )
    settings.chmod(0o644)
    (folder / "log4j.properties").write_text(
        "log4j.rootLogger=INFO, out\n"
        "log4j.appender.out=org.apache.log4j.ConsoleAppender\n"
        "log4j.appender.out.layout=org.apache.log4j.SimpleLayout\n"
    )
    (folder / "log4j.properties").chmod(0o644)
    command = [
        java, "-Xmx128m", "-cp", f"{folder}:{jar}",
        "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(settings),
    ]  # fmt: skip
    with serving(command, folder, lambda: _ruok(port)):
        yield f"127.0.0.1:{port}"


def _ruok(port: int) -> bool:
    """Ask ZooKeeper whether it serves: it accepts connections before."""
    with (
        contextlib.suppress(OSError),
        socket.create_connection(("127.0.0.1", port), 1) as asked,
    ):
        asked.sendall(b"ruok")
        return asked.recv(10) == b"imok"
    return False


SERVERS = {
    "redis": redis,
    "postgresql": postgresql,
    "mariadb": mariadb,
    "rabbitmq": rabbitmq,
    "zookeeper": zookeeper,
}

if __name__ == "__main__":
    # By hand: start the servers named, print their addresses, wait for a line.
    import tempfile

    with contextlib.ExitStack() as stack:
        base = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        for server in sys.argv[1:] or SERVERS:
            url = stack.enter_context(SERVERS[server](base / server))
            print(f"export APPS_{server.upper()}={url}", flush=True)
        input()
