"""
1,024 connections that send nothing, as many as a server with the default limits serves at
once, stop no honest client: each is answered within seconds, on whichever way through a
connection, and the silent ones that are left are still connected.
"""

import resource
import subprocess
import sys
import textwrap

import eventlet
from eventlet import wsgi
from eventlet.greenio import GreenPipe

COUNT = wsgi.Limits().connections

SILENT = """
    import select, socket, sys
    port, count = map(int, sys.argv[1:])
    poll = select.poll()
    socks = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    print("open", flush=True)
    sys.stdin.readline()
    for sock in socks:
        poll.register(sock, select.POLLIN)
    # What can be read is the end: the server has closed that one.
    print(len(poll.poll(0)), flush=True)
"""

HONEST = """
    import socket, sys, time
    for _ in range(8):
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 20) as sock:
            sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n")
            data = b""
            while part := sock.recv(4096):
                data += part
        assert data.endswith(b"hello"), data
        print(time.monotonic() - began, flush=True)
"""


class ByStep(wsgi.HttpProtocol):
    """Takes requests step by step."""

    def handle_one_request(self):
        """Do nothing else than others."""
        super().handle_one_request()


def hello(environ, start_response):
    """Answer with a short text."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def client(program, *arguments):
    """Start a client; return its process and a file of what it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    return process, GreenPipe(process.stdout, "rb")


def attack(protocol):
    """Have all places taken, and others ask; return how long each waited."""
    pool = eventlet.GreenPool(COUNT)
    listener = eventlet.listen(("127.0.0.1", 0), backlog=1024)
    port = listener.getsockname()[1]
    server = eventlet.spawn(
        wsgi.server, listener, hello, custom_pool=pool, protocol=protocol,
        log_output=False,
    )  # fmt: skip
    silent, closed = client(SILENT, port, COUNT)
    assert closed.readline() == b"open\n"
    while pool.running() < COUNT:
        eventlet.sleep(0.01)
    honest, waits = client(HONEST, port)
    times = [float(waits.readline()) for _ in range(8)]
    honest.wait()
    assert honest.returncode == 0
    silent.stdin.write(b"\n")
    silent.stdin.flush()
    # One gave way to all of them, or one to each.
    assert 1 <= int(closed.readline()) <= len(times)
    silent.kill()
    silent.wait()
    server.kill()
    return times


_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * COUNT, hard), hard))
with eventlet.Timeout(40):
    for protocol in (wsgi.HttpProtocol, ByStep):
        times = attack(protocol)
        print(f"{max(times):.2f} s at most for an honest client", flush=True)
        assert max(times) < 5, times
print("pass")
