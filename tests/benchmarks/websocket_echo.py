"""
Measure what an echoed WebSocket message costs the server.

Question: is it a third of upstream's at most, for large messages too? Runs an echo server
in each of the interpreters named, talks to it over many connections, compares every byte
that comes back, and prints the server's CPU time per message. The first one is the base of
the ratios.

    python tests/benchmarks/websocket_echo.py NAME=PYTHON[,HUB] ...

    python tests/benchmarks/websocket_echo.py \
        ours=.venv/bin/python,asyncio upstream=peers/bin/python
"""

from __future__ import annotations

import argparse
import os
import selectors
import socket
import statistics
import struct
import subprocess
import sys
import time
from pathlib import Path

SERVER = """
import warnings; warnings.simplefilter("ignore")
import eventlet
from eventlet import websocket, wsgi

@websocket.WebSocketWSGI
def echo(ws):
    while (message := ws.wait()) is not None:
        ws.send(message)

listener = eventlet.listen(("127.0.0.1", 0), backlog=1024)
print(listener.getsockname()[1], flush=True)
wsgi.server(listener, echo, log_output=False, max_size=4096)
"""
REQUEST = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
    b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
# A key of zeros costs the server what any key costs, and the client nothing.
KEY = b"\0\0\0\0"


def frame(payload: bytes, *, text: bool, masked: bool) -> bytes:
    """Return a message as the wire has it."""
    size = len(payload)
    bit = 0x80 if masked else 0
    if size < 126:
        head = struct.pack(">BB", 0x81 if text else 0x82, bit | size)
    elif size < 1 << 16:
        head = struct.pack(">BBH", 0x81 if text else 0x82, bit | 126, size)
    else:
        head = struct.pack(">BBQ", 0x81 if text else 0x82, bit | 127, size)
    return head + (KEY if masked else b"") + payload


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Client:
    """Connections that each have one message on its way."""

    def __init__(self, port: int, count: int) -> None:
        self.selector = selectors.EpollSelector()
        self.socks = []
        for _ in range(count):
            sock = socket.create_connection(("127.0.0.1", port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.sendall(REQUEST)
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += sock.recv(1024)
            if not head.startswith(b"HTTP/1.1 101"):
                raise SystemExit(f"no handshake: {head!r}")
            self.socks.append(sock)

    def run(self, payload: bytes, messages: int, *, text: bool) -> None:
        """Echo so many messages, shared by the connections."""
        out = frame(payload, text=text, masked=True)
        expected = frame(payload, text=text, masked=False)
        left, open_ = messages, 0
        had = dict.fromkeys(self.socks, b"")
        for sock in self.socks:
            self.selector.register(sock, selectors.EVENT_READ)
            sock.sendall(out)
            left -= 1
            open_ += 1
        while open_:
            for key, _ in self.selector.select(10):
                sock = key.fileobj
                data = had[sock] + sock.recv(1 << 20)
                if len(data) < len(expected):
                    had[sock] = data
                    continue
                if data != expected:
                    raise SystemExit(f"not the echo: {data[:80]!r}")
                had[sock] = b""
                if left > 0:
                    sock.sendall(out)
                    left -= 1
                else:
                    open_ -= 1
        for sock in self.socks:
            self.selector.unregister(sock)

    def close(self) -> None:
        """Close the connections."""
        for sock in self.socks:
            sock.close()


def measure(
    python: str, hub: str, connections: int, size: int, messages: int, *, text: bool
) -> tuple[float, float]:
    """Return CPU time of the server and wall time, in microseconds per message."""
    env = os.environ | ({"EVENTLET_HUB": hub} if hub else {})
    with subprocess.Popen(
        [python, "-c", SERVER], stdout=subprocess.PIPE, env=env, text=True
    ) as server:
        try:
            client = Client(int(server.stdout.readline()), connections)
            payload = b"x" * size
            client.run(payload, connections * 3, text=text)
            before, start = cpu_of(server.pid), time.perf_counter()
            client.run(payload, messages, text=text)
            wall = time.perf_counter() - start
            cpu = cpu_of(server.pid) - before
            client.close()
        finally:
            server.kill()
    return cpu / messages * 1e6, wall / messages * 1e6


CASES = {
    "c1-64": (1, 64, 20_000, True),
    "c100-64": (100, 64, 40_000, True),
    "c100-1k": (100, 1024, 40_000, True),
    "c100-16k": (100, 16 << 10, 20_000, False),
    "c4-1m": (4, 1 << 20, 400, False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[1])
    parser.add_argument("peers", nargs="+", metavar="NAME=PYTHON[,HUB]")
    parser.add_argument("--case", action="append", choices=list(CASES))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    peers = {}
    for peer in arguments.peers:
        name, _, rest = peer.partition("=")
        python, _, hub = rest.partition(",")
        peers[name] = (python, hub)
    print(f"{'':10}" + "".join(f"{name:>26}" for name in peers))
    for case in arguments.case or CASES:
        connections, size, messages, text = CASES[case]
        found = {name: [] for name in peers}
        for _ in range(arguments.rounds):
            for name, (python, hub) in peers.items():
                found[name].append(
                    measure(python, hub, connections, size, messages, text=text)
                )
        line = f"{case:10}"
        base = None
        for results in found.values():
            cpu = statistics.median(cpu for cpu, _ in results)
            wall = statistics.median(wall for _, wall in results)
            base = base or cpu
            line += f"  {cpu:8.1f} us {cpu / base:5.2f}x ({wall:.0f})"
        print(line)
    sys.stdout.flush()


if __name__ == "__main__":
    main()
