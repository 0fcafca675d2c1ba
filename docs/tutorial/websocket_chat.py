"""
A chat over WebSocket: the server, its page for browsers, and two guests that try it.

Run with EVENTLET_HUB=asyncio. With a port as its argument it serves browsers until it is
interrupted; without one it lets two guests talk to each other and ends.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import eventlet
from eventlet import websocket, wsgi
from eventlet.queue import Queue

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PAGE = b"""<!doctype html>
<title>Chat</title>
<form><input autofocus placeholder="Say something"></form>
<script>
  const name = prompt("Your name?");
  const url = `ws://${location.host}/chat?name=${encodeURIComponent(name)}`;
  const ws = new WebSocket(url);
  const form = document.querySelector("form");
  ws.onmessage = (event) => form.after(event.data, document.createElement("br"));
  form.onsubmit = (event) => {
    event.preventDefault();
    ws.send(form[0].value);
    form.reset();
  };
</script>
"""

# --- room
outboxes: dict[websocket.WebSocket, Queue[str]] = {}


def tell_all(text: str) -> None:
    """Put a line into the outbox of everybody; who is too slow misses it."""
    for outbox in list(outboxes.values()):
        if not outbox.full():
            outbox.put(text)


def deliver(ws: websocket.WebSocket, outbox: Queue[str]) -> None:
    """Send somebody what is in their outbox, as fast as they take it."""
    while True:
        ws.send(outbox.get())


# --- chat
@websocket.WebSocketWSGI
def chat(ws: websocket.WebSocket) -> None:
    """Let somebody take part, from their first message to their last."""
    query = parse_qs(ws.environ.get("QUERY_STRING", ""))
    name = query.get("name", ["somebody"])[0]
    outboxes[ws] = Queue(100)
    delivery = eventlet.spawn(deliver, ws, outboxes[ws])
    tell_all(f"{name} has come")
    try:
        while (text := ws.wait()) is not None:
            tell_all(f"{name}: {text}")
    finally:
        del outboxes[ws]
        delivery.kill()
        tell_all(f"{name} has left")


# --- application
def application(
    environ: WSGIEnvironment, start_response: StartResponse
) -> Iterable[bytes]:
    """Serve the chat under its path, and the page everywhere else."""
    if environ["PATH_INFO"] == "/chat":
        return chat(environ, start_response)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8")])
    return [PAGE]


# --- guest
def enter(address: tuple[str, int], name: str) -> websocket.RFC6455WebSocket:
    """Connect to the chat as a browser does, and return the connection."""
    sock = eventlet.connect(address)
    sock.sendall(
        f"GET /chat?name={name} HTTP/1.1\r\nHost: localhost\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
    return websocket.RFC6455WebSocket(sock, {}, client=True)


# --- main
def main() -> None:
    """Serve browsers, or two guests."""
    port = int(sys.argv[1]) if sys.argv[1:] else 0
    listener = eventlet.listen(("127.0.0.1", port))
    if port:
        print(f"open http://127.0.0.1:{port}/ in two windows", flush=True)
        wsgi.server(listener, application, max_size=10_000)
        return
    server = eventlet.spawn(wsgi.server, listener, application, log_output=False)
    address = listener.getsockname()
    with eventlet.Timeout(30):
        ada = enter(address, "Ada")
        print(ada.wait())
        grace = enter(address, "Grace")
        print(ada.wait())
        grace.send("hello, Ada")
        print(ada.wait())
        grace.close()
        print(ada.wait())
        ada.close()
    server.kill()


if __name__ == "__main__":
    main()
