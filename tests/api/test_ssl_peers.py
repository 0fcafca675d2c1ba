"""Promises of `eventlet.green.ssl` towards peers that are not ours, in both directions."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import ssl as standard
import threading
from pathlib import Path

import pytest

import eventlet
from eventlet.green import socket, ssl, subprocess

DATA = Path(__file__).parents[1] / "data"
CERTIFICATE, KEY = DATA / "localhost.crt", DATA / "localhost.key"
OPENSSL = shutil.which("openssl")

needs_openssl = pytest.mark.skipif(
    OPENSSL is None, reason="the program openssl is not installed"
)
versions = pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
# More than the buffers of both sockets hold, so that each side has to wait.
PAYLOAD = os.urandom(3_000_000)


def server_context(version="TLSv1_3"):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE, KEY)
    context.maximum_version = standard.TLSVersion[version]
    return context


def client_context(version="TLSv1_3"):
    context = ssl.create_default_context(cafile=CERTIFICATE)
    context.maximum_version = standard.TLSVersion[version]
    return context


def connected(port, version):
    sock = client_context(version).wrap_socket(
        socket.socket(), server_hostname="localhost"
    )
    sock.connect(("127.0.0.1", port))
    return sock


def received(sock):
    """Read until the end of the stream."""
    chunks = []
    while chunk := sock.recv(65536):
        chunks.append(chunk)
    return b"".join(chunks)


@needs_openssl
@versions
def test_client_talks_to_the_openssl_server(version):
    """It gives each line back reversed."""
    command = [OPENSSL, "s_server", "-rev", "-accept", "127.0.0.1:0"]
    command += ["-cert", CERTIFICATE, "-key", KEY]
    server = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        for line in server.stdout:
            if line.startswith(b"ACCEPT "):
                port = int(line.rsplit(b":", 1)[1])
                break
        client = connected(port, version)
        assert client.version() == version.replace("_", ".")
        client.sendall(b"green\n")
        assert client.makefile("rb").readline() == b"neerg\n"
        plain = client.unwrap()
        plain.close()
    finally:
        server.kill()
        server.wait()
        server.stdin.close()
        server.stdout.close()


@needs_openssl
@versions
def test_server_talks_to_the_openssl_client(version):
    """Much data in one direction, and an answer that tells it has all arrived."""
    listener = server_context(version).wrap_socket(
        eventlet.listen(("127.0.0.1", 0)), server_side=True
    )
    port = listener.getsockname()[1]
    command = [OPENSSL, "s_client", "-quiet", "-no_ign_eof", "-verify_return_error"]
    command += ["-connect", f"127.0.0.1:{port}", "-CAfile", CERTIFICATE]
    client = subprocess.Popen(
        [*command, "-servername", "localhost"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    # Without the letters that are commands to the program.
    payload = PAYLOAD.hex().upper().translate({0x51: None}).encode() + b"\n"

    def feed():
        client.stdin.write(payload)
        client.stdin.flush()

    feeding = eventlet.spawn(feed)
    server, _address = listener.accept()
    digest = hashlib.sha256()
    size = 0
    while size < len(payload):
        chunk = server.recv(65536)
        assert chunk
        size += len(chunk)
        digest.update(chunk)
    feeding.wait()
    assert server.version() == version.replace("_", ".")
    server.sendall(digest.hexdigest().encode() + b"\n")
    assert client.stdout.readline().decode().strip() == (
        hashlib.sha256(payload).hexdigest()
    )
    client.stdin.close()
    assert received(server) == b""
    server.close()
    assert client.wait() == 0
    client.stdout.close()
    listener.close()


def in_os_thread(coroutine_function, *arguments):
    """Run a coroutine in an OS thread with a loop of its own; give what it returns."""
    outcome = []

    def run():
        outcome.append(asyncio.run(coroutine_function(*arguments)))

    thread = threading.Thread(target=run)
    thread.start()
    return thread, outcome


async def ended(writer):
    """Close a stream of asyncio, transport and all, however its peer takes it."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


@versions
def test_client_talks_to_an_asyncio_server(version):
    ports = eventlet.Queue()

    async def serve():
        done = asyncio.Event()

        async def answer(reader, writer):
            data = await reader.readexactly(len(PAYLOAD))
            writer.write(data[::-1])
            await writer.drain()
            await ended(writer)
            done.set()

        server = await asyncio.start_server(
            answer, "127.0.0.1", 0, ssl=server_context(version)
        )
        ports.put(server.sockets[0].getsockname()[1])
        await asyncio.wait_for(done.wait(), 30)
        server.close()
        return "served"

    thread, outcome = in_os_thread(serve)
    client = connected(ports.get(), version)
    reading = eventlet.spawn(received, client)
    client.sendall(PAYLOAD)
    assert reading.wait() == PAYLOAD[::-1]
    client.close()
    thread.join(30)
    assert outcome == ["served"]


@versions
def test_server_talks_to_an_asyncio_client(version):
    listener = server_context(version).wrap_socket(
        eventlet.listen(("127.0.0.1", 0)), server_side=True
    )

    async def ask(port):
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=client_context(version), server_hostname="localhost"
        )
        writer.write(PAYLOAD)
        data = await asyncio.wait_for(reader.readexactly(len(PAYLOAD)), 30)
        await ended(writer)
        return data

    thread, outcome = in_os_thread(ask, listener.getsockname()[1])
    server, _address = listener.accept()
    data = b""
    while len(data) < len(PAYLOAD):
        data += server.recv(65536)
    server.sendall(data[::-1])
    assert received(server) == b""
    server.close()
    listener.close()
    thread.join(30)
    assert outcome == [PAYLOAD[::-1]]
