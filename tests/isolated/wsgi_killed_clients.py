"""
Clients killed in the middle of a request, at whichever point, leave no green thread
behind, and no noise in the log.
"""

import gc
import io
import os
import subprocess
import sys
import textwrap

import eventlet
from eventlet import wsgi
from eventlet.greenio import GreenPipe
from eventlet_asyncio import _core

EACH = 20

CLIENT = """
    import socket, sys, time
    socks = []
    for part in (
        b"",
        b"GET",
        b"GET / HTTP/1.1\\r\\nHost: a",
        b"PUT /read HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 100\\r\\n\\r\\nabc",
        b"PUT /skip HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 100\\r\\n\\r\\nabc",
        b"PUT /read HTTP/1.1\\r\\nHost: a\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n100\\r\\nabc",
        b"PUT /read HTTP/1.1\\r\\nHost: a\\r\\nContent-Length: 9\\r\\nExpect: 100-continue\\r\\n\\r\\n",
        b"GET /slow HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n",
        b"GET /large HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n",
        b"GET /stream HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n",
    ):
        for _ in range(int(sys.argv[2])):
            sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
            sock.sendall(part)
            socks.append(sock)
    print("sent", flush=True)
    time.sleep(1000)
"""


def application(environ, start_response):
    """Wait for the client in one way or another."""
    path = environ["PATH_INFO"]
    if path == "/read":
        environ["wsgi.input"].read()
    elif path == "/slow":
        go.wait()
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/large":
        return [b"a" * 20_000_000]
    if path == "/stream":
        return (b"a" * 100_000 for _ in range(1000))
    return [b"hello"]


go = eventlet.Event()
log = io.StringIO()
pool = eventlet.GreenPool(1000)
listener = eventlet.listen(("127.0.0.1", 0), backlog=1024)
server = eventlet.spawn(
    wsgi.server, listener, application, log=log, custom_pool=pool, debug=False
)
child = subprocess.Popen(
    [sys.executable, "-c", textwrap.dedent(CLIENT), str(listener.getsockname()[1]),
     str(EACH)],
    stdout=subprocess.PIPE,
)  # fmt: skip
with eventlet.Timeout(20):
    assert GreenPipe(child.stdout, "rb").readline() == b"sent\n"
    # Until all have come as far as they get.
    while pool.running() < 10 * EACH:
        eventlet.sleep(0.01)
    eventlet.sleep(0.1)
assert pool.running() == 10 * EACH, pool.running()
os.kill(child.pid, 9)
child.wait()
go.send()
with eventlet.Timeout(20):
    pool.waitall()
# A body that ends early is the client's fault.
assert "Traceback" not in log.getvalue(), log.getvalue()
server.kill()
del server
gc.collect()
assert _core._stack_statistics()["in_use"] <= 1, _core._stack_statistics()
print("pass")
