"""
Idle keep-alive connections are held for as long as clients want, at a stable size, each
answers again afterwards, and nothing is left of them when they are closed.

``STRESS_CONNECTIONS`` says how many, ``STRESS_SECONDS`` how long they are idle.
"""

import gc
import os
import resource
import subprocess
import sys
import textwrap

import eventlet
from eventlet import wsgi
from eventlet.greenio import GreenPipe
from eventlet_asyncio import _core

COUNT = int(os.environ.get("STRESS_CONNECTIONS", "300"))
SECONDS = float(os.environ.get("STRESS_SECONDS", "1"))
FILES = COUNT + 500

CLIENT = """
    import resource, socket, sys
    port, count, files = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    socks = []
    def ask(sock):
        sock.sendall(b"GET / HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n")
        data = b""
        while not data.endswith(b"hello"):
            part = sock.recv(4096)
            assert part, data
            data += part
    for n in range(count):
        socks.append(socket.create_connection(("127.0.0.1", port)))
        ask(socks[-1])
    print("open", flush=True)
    sys.stdin.readline()
    for sock in socks:
        ask(sock)
    print("asked", flush=True)
    sys.stdin.readline()
"""


def hello(environ, start_response):
    """Answer with a short text."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def resident():
    """Return the memory in use, in KiB."""
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() // 1024


resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
pool = eventlet.GreenPool(COUNT + 10)
listener = eventlet.listen(("127.0.0.1", 0), backlog=1024)
server = eventlet.spawn(
    wsgi.server, listener, hello, custom_pool=pool, log_output=False
)
eventlet.sleep(0)
before = resident()
child = subprocess.Popen(
    [sys.executable, "-c", textwrap.dedent(CLIENT), str(listener.getsockname()[1]),
     str(COUNT), str(FILES)],
    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
)  # fmt: skip
lines = GreenPipe(child.stdout, "rb")
with eventlet.Timeout(40):
    assert lines.readline() == b"open\n"
assert pool.running() == COUNT
held = resident()
eventlet.sleep(SECONDS)
later = resident()
print(f"{(held - before) / COUNT:.1f} KiB for each connection", flush=True)
print(f"{later - held} KiB more after {SECONDS} s", flush=True)
assert pool.running() == COUNT
assert later - held < 1024, "idle connections grow"
# A stack's touched pages, its page tables, a socket and the objects of a connection.
assert (held - before) / COUNT < 40, "an idle connection is too large"
child.stdin.write(b"\n")
child.stdin.flush()
with eventlet.Timeout(40):
    assert lines.readline() == b"asked\n"
assert resident() - held < 2048, "requests leave something behind"
child.stdin.close()
child.wait()
with eventlet.Timeout(20):
    pool.waitall()
server.kill()
gc.collect()
assert _core._stack_statistics()["in_use"] <= 2, _core._stack_statistics()
print("pass")
