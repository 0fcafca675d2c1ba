"""
The short way through a connection: native code receives, reads heads and makes ``environ``.

It bypasses the methods that `HttpProtocol` has for each step, and those of the socket, so
it is taken only where nobody can tell: see `suits`.
"""

from __future__ import annotations

import time
from time import monotonic
from typing import TYPE_CHECKING, Any

from eventlet._wsgi.exchange import Exchange
from eventlet._wsgi.protocol import STATE_CLOSE, STATE_IDLE, STATE_REQUEST
from eventlet.greenio import GreenSocket
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from eventlet._wsgi.connection import HttpProtocol

__all__ = ["SocketWriter", "is_overridden", "remember", "serve", "suits"]

# What takes part in a request: a subclass that overrides one of these is asked, step by
# step, and so is one that a program has patched.
_HOOKS = (
    "MessageClass", "_read_request_line", "finish", "formalize_key_naming", "get_environ", "handle",
    "handle_expect_100", "handle_one_request", "handle_one_response", "parse_request",
    "rbufsize", "send_error", "setup", "wbufsize",
)  # fmt: skip
_original: dict[str, Any] = {}

_REPLACEABLE = {"makefile", "recv", "recv_into", "send", "sendall", "_trampoline"}


def remember(cls: type[HttpProtocol]) -> None:
    """Take note of the methods that are nobody's own."""
    _original.update({name: getattr(cls, name) for name in _HOOKS})


def suits(cls: type[HttpProtocol], sock: Any) -> bool:
    """
    Say whether a connection can be served by native code.

    Args:
        cls: Its class, which must leave every step as it is.
        sock: Its socket, of which no method may be replaced.
    """
    return (
        type(sock) is GreenSocket
        and not _REPLACEABLE & sock.__dict__.keys()
        and all(getattr(cls, name) is hook for name, hook in _original.items())
    )


def is_overridden(protocol: HttpProtocol, name: str) -> bool:
    """Say whether a method of a connection is somebody's own."""
    hook = getattr(protocol, name)
    return getattr(hook, "__func__", hook) is not _original[name]


class SocketWriter:
    """A file that writes to a socket, without a buffer."""

    def __init__(self, sock: Any) -> None:
        self._sock = sock

    def write(self, data: Any) -> int:
        """Send all of `data`. Switch point."""
        self._sock.sendall(data)
        return len(data)

    def writelines(self, parts: Any) -> None:
        """Send all parts as one. Switch point."""
        self.write(b"".join(parts))

    def flush(self) -> None:
        """Do nothing: nothing is held back."""

    def close(self) -> None:
        """Do nothing: the socket belongs to the connection."""


def serve(protocol: HttpProtocol) -> None:
    """
    Serve requests until one of the two sides closes the connection. Switch point.
    """
    server = protocol.server
    state = protocol.conn_state
    reader = protocol.rfile
    fileno = protocol.connection._fileno
    log_output = server.log_output
    began = 0.0
    # What the server says is asked for each time where it may change.
    fixed = server.has_fixed_environ
    template = protocol._of_connection(server.get_environ() if fixed else {})
    whole = protocol.header_timeout
    while True:
        if state[2] is STATE_CLOSE:
            whole = protocol.limits.drain
        try:
            request = reader.read_request(template, protocol._patience(), whole)
        except _core.HttpRefusal as refusal:
            protocol._refuse(*refusal.args)
            return
        except TimeoutError:
            if state[2] is STATE_CLOSE:
                return
            raise
        if request is None:
            return
        environ, flags, length = request
        # Not asked for the usual request, which has no body.
        if length > 0 and protocol._is_too_large(length):
            return
        if not fixed:
            environ = {**server.get_environ(), **environ}
        if state[2] is STATE_CLOSE:
            protocol.is_last = True
        else:
            state[2] = STATE_REQUEST
        protocol._requested = True
        body = protocol._body(flags, length)
        environ["wsgi.input"] = environ["eventlet.input"] = body
        environ["eventlet.posthooks"] = []
        environ["eventlet.set_idle"] = protocol._set_idle
        if log_output:
            protocol._remember(environ)
            began = time.time()
        exchange = Exchange(protocol, environ, body, flags)
        close = exchange.run(server.app)
        if environ.get("eventlet.posthooks"):
            exchange.run_posthooks()
        if log_output:
            exchange.log(began)
        if close or fileno() < 0:
            return
        # Nothing of this request is held while waiting for the next one.
        request = environ = body = exchange = None  # type: ignore[assignment]
        if not reader.pending and state[2] is STATE_REQUEST:
            protocol.waiting_since = monotonic()
            state[2] = STATE_IDLE
