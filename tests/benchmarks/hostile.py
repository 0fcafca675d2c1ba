"""
Measure how long others wait for a server while one client does its worst.

Each kind of hostile client is a process of its own that sends as fast as it can for some
seconds, 3 unless told otherwise. Meanwhile a green thread of the server sleeps for 5 ms
again and again, and another client asks for a page that costs nothing. Printed are the
99th percentile and the longest of three: how late the timer is, how much CPU time the
server has used before it came (which tells the same on a machine that has others to serve,
less the 5 ms that a busy server may use until then), and how long the page took.

    python tests/benchmarks/hostile.py [SECONDS [KIND...]]

Without a variable it runs on what ``import eventlet`` finds, upstream included.
"""

from __future__ import annotations

import os
import socket as real_socket
import struct
import subprocess
import sys
import time
import zlib

HEAD = b"POST %s HTTP/1.1\r\nHost: a\r\n"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


def frame(opcode, payload, reserved=0):
    """Return a client's frame."""
    head = bytes([0x80 | reserved << 4 | opcode])
    if len(payload) < 126:
        head += bytes([0x80 | len(payload)])
    else:
        head += b"\xfe" + struct.pack(">H", len(payload))
    return head + bytes(4) + payload


def deflated(data):
    """Return data as permessage-deflate has it."""
    stream = zlib.compressobj(wbits=-15)
    return (stream.compress(data) + stream.flush(zlib.Z_SYNC_FLUSH))[:-4]


COMPRESSED = UPGRADE + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
# By kind: what is sent first, and what again and again.
KINDS = {
    "nothing": (b"", b""),
    "chunks, discarded": (
        HEAD % b"/nope" + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\na\r\n" * 100_000,
    ),
    "chunks, read": (
        HEAD % b"/read" + b"Transfer-Encoding: chunked\r\n\r\n",
        b"1\r\na\r\n" * 100_000,
    ),
    "body, discarded": (
        HEAD % b"/nope" + b"Content-Length: 999999999999\r\n\r\n",
        bytes(1 << 20),
    ),
    "lines": (
        HEAD % b"/lines" + b"Content-Length: 999999999999\r\n\r\n",
        b"a\n" * 100_000,
    ),
    "pipeline": (b"", b"GET /small HTTP/1.1\r\nHost: a\r\n\r\n" * 1000),
    "pings": (UPGRADE + b"\r\n", frame(9, b"p") * 10_000),
    "messages": (UPGRADE + b"\r\n", frame(1, b"m") * 10_000),
    "compressed": (COMPRESSED, frame(1, deflated(b"m"), 4) * 10_000),
    "bombs": (COMPRESSED, frame(2, deflated(bytes(8 << 20)), 4) * 10),
    "empty frames": (UPGRADE + b"\r\n", frame(1, b"")[:0] + b"\0\x80\0\0\0\0" * 10_000),
    "download": (b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n", b""),
    "connections": (None, None),
}


def attack(port, kind, seconds):
    """Be a hostile client."""
    first, again = KINDS[kind]
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            sock = real_socket.create_connection(("127.0.0.1", port))
            if first is None:
                sock.close()
                continue
            sock.setblocking(False)
            pending = memoryview(first)
            while time.monotonic() < end:
                try:
                    while True:
                        if not sock.recv(1 << 20):
                            raise ConnectionResetError
                except BlockingIOError:
                    pass
                pending = pending or memoryview(again)
                try:
                    pending = pending[sock.send(pending) :] if pending else pending
                except BlockingIOError:
                    time.sleep(0.0002)
        except OSError:
            pass


def serve(seconds, kinds):
    """Run the server, and measure."""
    import eventlet
    from eventlet import websocket, wsgi
    from eventlet.green import socket

    def application(environ, start_response):
        path = environ["PATH_INFO"]
        body = environ["wsgi.input"]
        if path == "/ws":
            return handle(environ, start_response)
        if path == "/read":
            while body.read(1000):
                pass
        if path == "/lines":
            while body.readline():
                pass
        if path == "/endless":
            start_response("200 OK", [])
            return iter(lambda: bytes(65536), None)
        start_response("404 Not Found", [("Content-Length", "0")])
        return [b""]

    @websocket.WebSocketWSGI
    def handle(ws):
        while ws.wait() is not None:
            pass

    def tick():
        while True:
            begun, busy = time.monotonic(), time.process_time()
            eventlet.sleep(0.005)
            late.append(time.monotonic() - begun - 0.005)
            held.append(time.process_time() - busy)

    def ask():
        while True:
            sock = socket.create_connection(("127.0.0.1", port))
            begun = time.monotonic()
            sock.sendall(b"GET /small HTTP/1.0\r\nHost: a\r\n\r\n")
            while sock.recv(1000):
                pass
            asked.append(time.monotonic() - begun)
            sock.close()
            eventlet.sleep(0.002)

    listener = eventlet.listen(("127.0.0.1", 0), backlog=1000)
    port = listener.getsockname()[1]
    eventlet.spawn(wsgi.server, listener, application, log_output=False)
    late, held, asked = [], [], []
    eventlet.spawn(tick)
    eventlet.spawn(ask)
    columns = ("timer late", "longest", "CPU", "longest", "page", "longest")
    print(f"{'':20}" + "".join(f"{column:>12}" for column in columns))
    for kind in kinds:
        eventlet.sleep(0.3)
        late.clear()
        held.clear()
        asked.clear()
        command = [sys.executable, __file__, "attack", str(port), kind, str(seconds)]
        attacker = subprocess.Popen(command)
        eventlet.sleep(seconds)
        attacker.kill()
        attacker.wait()
        row = []
        for measured in (late, held, asked):
            figures = sorted(measured) or [float("inf")]
            row += [figures[int(len(figures) * 0.99)] * 1e3, figures[-1] * 1e3]
        print(f"{kind:20}" + "".join(f"{figure:9.1f} ms" for figure in row))
        sys.stdout.flush()


if sys.argv[1:2] == ["attack"]:
    attack(int(sys.argv[2]), sys.argv[3], float(sys.argv[4]))
else:
    os.environ.setdefault("EVENTLET_HUB", "asyncio")
    serve(float((sys.argv[1:] or ["3"])[0]), sys.argv[2:] or list(KINDS))
