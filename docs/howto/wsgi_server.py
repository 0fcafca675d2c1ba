"""A WSGI server, its clients and its end, in one process; see serve-wsgi.md."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import eventlet
from eventlet import wsgi
from eventlet.green.urllib.request import urlopen

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

    from eventlet.green.socket import socket
    from eventlet.greenthread import GreenThread


# --- application
def application(environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
    """Wait as a database would make us wait, then answer."""
    eventlet.sleep(0.1)
    body = f"{environ['REQUEST_METHOD']} {environ['PATH_INFO']}\n".encode("latin-1")
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [body]


# --- serve
def serve(listener: socket) -> GreenThread[None]:
    """Serve until SIGTERM comes; then finish what has begun."""
    server = eventlet.spawn(
        wsgi.server,
        listener,
        application,
        log=sys.stdout,
        max_size=10_000,
        keepalive=75,
        socket_timeout=30,
        debug=False,
    )

    def stop(*_: object) -> None:
        server.kill(KeyboardInterrupt)

    signal.signal(signal.SIGTERM, stop)
    return server


# --- ask
def ask(url: str) -> str:
    """Return what the server answers."""
    body: bytes = urlopen(url).read()
    return body.decode()


def main() -> None:
    """Ask the server three times at once, and end it."""
    listener = eventlet.listen(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = serve(listener)
    urls = [f"http://127.0.0.1:{port}/{name}" for name in ("one", "two", "three")]
    pool = eventlet.GreenPool()
    for answer in pool.imap(ask, urls):
        print(answer, end="")
    signal.raise_signal(signal.SIGTERM)
    server.wait()


if __name__ == "__main__":
    main()
