"""
Clients that send their heads a byte at a time delay a fast one by less than 50 ms.

``STRESS_CONNECTIONS`` says how many there are, up to 1000.
"""

import os
import resource
import subprocess
import sys
import textwrap

import eventlet
from eventlet import wsgi
from eventlet.greenio import GreenPipe

COUNT = min(1000, int(os.environ.get("STRESS_CONNECTIONS", "300")))

SLOW = """
    import socket, sys, time
    socks = [socket.create_connection(("127.0.0.1", int(sys.argv[1])))
             for _ in range(int(sys.argv[2]))]
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\\r\\nA: ")
    print("slow", flush=True)
    while True:
        for sock in socks:
            sock.sendall(b"a")
            time.sleep(0.001)
"""

FAST = """
    import socket, sys, time
    sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    times = []
    for _ in range(200):
        began = time.monotonic()
        sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        data = b""
        while not data.endswith(b"hello"):
            data += sock.recv(4096)
        times.append(time.monotonic() - began)
        time.sleep(0.002)
    print(sorted(times)[180], flush=True)
"""


def hello(environ, start_response):
    """Answer with a short text."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def client(program, *arguments):
    """Start a client; return its process and a file of what it prints."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), port, *arguments],
        stdout=subprocess.PIPE,
    )
    return process, GreenPipe(process.stdout, "rb")


def delay():
    """Return the seconds that nine of ten requests of a fast client take at most."""
    process, lines = client(FAST)
    with eventlet.Timeout(20):
        result = float(lines.readline())
    process.wait()
    lines.close()
    return result


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2500), hard))
listener = eventlet.listen(("127.0.0.1", 0), backlog=1024)
port = str(listener.getsockname()[1])
eventlet.spawn(wsgi.server, listener, hello, max_size=2000, log_output=False)
alone = delay()
process, lines = client(SLOW, str(COUNT))
try:
    with eventlet.Timeout(20):
        assert lines.readline() == b"slow\n"
    among = delay()
finally:
    process.kill()
    process.wait()
print(f"{alone * 1e3:.2f} ms alone, {among * 1e3:.2f} ms among {COUNT} slow clients")
assert among - alone < 0.05
print("pass")
