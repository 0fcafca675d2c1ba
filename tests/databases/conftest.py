"""
Servers to talk to: PostgreSQL and MariaDB on loopback, for as long as the tests run.

Each is started from the programs that the system has installed, with its data in a
temporary folder and without privileges; where there are none, its tests are skipped.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest

# Seconds that a server may take to answer: the first start makes its files.
START = 40


@pytest.fixture(scope="session")
def postgresql():
    """Give the variables by which a program finds a running PostgreSQL server."""
    initdb = find("initdb", *Path("/usr/lib/postgresql").glob("*/bin"))
    with folder("postgres") as (home, account):
        data = home / "data"
        command = [initdb, "-D", data, "-U", "test", "-A", "trust", "--no-sync"]
        subprocess.run(command, check=True, capture_output=True, cwd=home, **account)
        port = free_port()
        command = [Path(initdb).with_name("postgres"), "-D", data, "-F"]
        command += ["-p", str(port), "-h", "127.0.0.1", "-k", home]
        with server(command, port, home, account):
            yield {"DB_PORT": str(port), "DB_USER": "test"}


@pytest.fixture(scope="session")
def mariadb():
    """Give the variables by which a program finds a running MariaDB server."""
    install, daemon = find("mariadb-install-db"), find("mariadbd", "/usr/sbin")
    with folder("mysql") as (home, account):
        data = home / "data"
        command = [install, "--no-defaults", f"--datadir={data}", "--skip-test-db"]
        command += ["--auth-root-authentication-method=normal"]
        subprocess.run(command, check=True, capture_output=True, cwd=home, **account)
        port = free_port()
        command = [daemon, "--no-defaults", f"--datadir={data}", f"--port={port}"]
        command += ["--bind-address=127.0.0.1", f"--socket={home}/socket"]
        command += ["--skip-name-resolve"]
        with server(command, port, home, account):
            yield {"DB_PORT": str(port), "DB_USER": "root"}


def find(name, *folders):
    """Return the path of a server's program; skip the test where it is missing."""
    path = os.pathsep.join([os.environ.get("PATH", ""), *map(str, folders)])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@contextlib.contextmanager
def folder(name):
    """Give a temporary folder, and whom to run the server as: it refuses to be root."""
    with tempfile.TemporaryDirectory(prefix="db-") as made:
        # Temporary files of the server's own belong where its account may write.
        environment = {**os.environ, "TMPDIR": made}
        account = {"env": environment}
        if os.geteuid() == 0:
            try:
                entry = pwd.getpwnam(name)
            except KeyError:
                entry = pwd.getpwnam("nobody")
            os.chown(made, entry.pw_uid, entry.pw_gid)
            account = {
                "user": entry.pw_uid,
                "group": entry.pw_gid,
                "extra_groups": [],
                "env": environment,
            }
        yield Path(made), account


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


@contextlib.contextmanager
def server(command, port, home, account):
    """Run a server until the tests are over."""
    log = home / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            list(map(str, command)), stdout=out, stderr=out, cwd=home, **account
        )
    try:
        wait_until_it_answers(process, port, log)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


def wait_until_it_answers(process, port, log):
    end = time.monotonic() + START
    while time.monotonic() < end and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            # Nothing tells when a server of others is ready.
            time.sleep(0.05)
        else:
            return
    pytest.fail(f"the server does not answer:\n{log.read_text(errors='replace')}")
