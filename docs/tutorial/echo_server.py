"""
Echo lines to whoever connects, each connection in a green thread of its own.

Without an argument it serves itself a few clients and ends; with a port it serves
until it is interrupted.
"""

from __future__ import annotations

import sys
from typing import Any

import eventlet


# --- handle
def handle(connection: Any, address: tuple[str, int]) -> None:
    """Send each line back until the client ends the stream."""
    print(f"serving {address[0]}:{address[1]}")
    with connection, connection.makefile("rwb") as stream:
        for line in stream:
            stream.write(line)
            stream.flush()


# --- client
def talk(address: tuple[str, int], name: str) -> str:
    """Say three lines, with a pause after each, and return what came back."""
    heard: list[str] = []
    with eventlet.connect(address) as connection, connection.makefile("rwb") as stream:
        for number in range(3):
            stream.write(f"{name} {number}\n".encode())
            stream.flush()
            heard.append(stream.readline().decode().strip())
            eventlet.sleep(0.05)
    return ", ".join(heard)


# --- main
def main() -> None:
    """Serve others, or three clients of our own."""
    port = int(sys.argv[1]) if sys.argv[1:] else 0
    listener = eventlet.listen(("127.0.0.1", port))
    address = listener.getsockname()
    print(f"listening at {address[0]}:{address[1]}", flush=True)
    if port:
        eventlet.serve(listener, handle, concurrency=1000)
        return
    server = eventlet.spawn(eventlet.serve, listener, handle)
    with eventlet.Timeout(30):
        clients = [eventlet.spawn(talk, address, name) for name in ("ada", "grace")]
        for client in clients:
            print(client.wait())
    server.kill()


if __name__ == "__main__":
    main()
