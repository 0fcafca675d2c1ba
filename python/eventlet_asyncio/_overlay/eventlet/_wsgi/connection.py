"""
A connection: reads requests, one after the other, and has each served.

There are two ways through. Where a subclass of `HttpProtocol` overrides nothing that
takes part in a request, and the connection is a plain green socket, native code receives
and reads heads and makes ``environ`` (`native.serve`). Otherwise each step is a method that can be
overridden: `handle_one_request`, `parse_request`, `get_environ` and so on. Both ways read heads with
the same native parser, and share `Exchange` for the rest. The steps are in `steps`.
"""

from __future__ import annotations

import _socket as _kernel
import socket as _socket
import time
from contextlib import suppress
from typing import Any

from eventlet._wsgi import native
from eventlet._wsgi.limits import DEFAULT, Limits, Pace, header_sizes
from eventlet._wsgi.log import note
from eventlet._wsgi.protocol import (
    HEADERS_RAW,
    STATE_CLOSE,
    STATE_IDLE,
    STATE_REQUEST,
    Input,
    addr_to_host_port,
    plain,
)
from eventlet._wsgi.registry import Connection
from eventlet._wsgi.steps import Steps
from eventlet.green import BaseHTTPServer
from eventlet.green.http import client as http_client
from eventlet.greenio import GreenSocket
from eventlet_asyncio import _core

__all__ = [
    "MINIMUM_CHUNK_SIZE",
    "STATE_CLOSE",
    "STATE_IDLE",
    "STATE_REQUEST",
    "HttpProtocol",
]

MINIMUM_CHUNK_SIZE = 4096

_CLOSE: int = _core.HTTP_CLOSE
_EXPECTS: int = _core.HTTP_EXPECTS
_CHUNKED: int = _core.HTTP_CHUNKED
_CAPITALIZE: int = _core.HTTP_CAPITALIZE
_OLD_SERVER: int = _core.HTTP_OLD_SERVER

# At most this much is read after the last response, so that closing does not take back
# what the client has not read yet.
_LINGER = 256 << 10


# The last second that was logged, and how it is written.
_date: list[Any] = [0, ""]

_Handler: Any = BaseHTTPServer.BaseHTTPRequestHandler


class _Limit:
    """A limit of the server's, which a subclass or an instance may set for itself."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, protocol: Any, cls: Any = None) -> Any:
        return getattr(DEFAULT if protocol is None else protocol.limits, self._name)


class HttpProtocol(Steps, _Handler):
    """
    Serves one connection.

    Subclasses may override the methods named in upstream's documentation; a server is
    told of one by its argument ``protocol``.

    Args:
        conn_state: A list of the client's address, the connection's socket and its
            state, which the server looks at when it shuts down.
        server: The `Server`.
    """

    protocol_version = "HTTP/1.1"
    minimum_chunk_size = MINIMUM_CHUNK_SIZE
    capitalize_response_headers = True
    wbufsize = 16 << 10
    disable_nagle_algorithm = False
    MessageClass: Any = http_client.HTTPMessage

    #: Refuse requests that have both Transfer-Encoding and Content-Length, an unknown
    #: Transfer-Encoding, a Content-Length beyond all measure or no Host, and bodies that end
    #: too early.
    reject_bad_requests = True
    #: Seconds from the first byte of a request to the end of its head; None: no limit.
    header_timeout: Any = _Limit("head")
    #: Seconds from the first read of a request's body to its end; None: no limit.
    body_timeout: Any = _Limit("body")

    #: Whether native code may use the descriptor directly.
    is_native = False
    #: Seconds that sending and receiving may wait.
    timeout: float | None = None
    #: Seconds that an idle connection is kept, where the client is told; else None.
    patience: int | None = None
    #: Flags that come to those of each request.
    closing = 0
    #: The server's limits on what a client may cost.
    limits: Limits = DEFAULT
    #: When the wait for the request began that is waited for.
    waiting_since = 0.0
    #: Whether a request is being served, and the server has ended meanwhile.
    is_last = False

    command: Any = ""
    path: Any = ""
    _headers: Any = None
    _raw_headers: Any = ()
    _forwarded = ""
    _addresses: dict[str, Any] | None = None
    _requested = False

    def __init__(self, conn_state: Any, server: Any) -> None:
        self.request = conn_state[1]
        self.client_address = conn_state[0]
        self.conn_state = conn_state
        self.server: Any = server
        self.limits = getattr(server, "limits", DEFAULT)
        # For sends, also where receiving has an own limit. Whatever stands in for a
        # socket may not know.
        timeout = getattr(self.request, "gettimeout", float)()
        self.timeout = (
            timeout if isinstance(timeout, (int, float)) and timeout else None
        )
        self.minimum_chunk_size = server.minimum_chunk_size
        self.waiting_since = time.monotonic()
        if isinstance(conn_state, Connection):
            conn_state.protocol = self
        try:
            self.setup()
            try:
                self.handle()
            finally:
                self.finish()
        finally:
            if isinstance(conn_state, Connection):
                conn_state.protocol = None

    # The connection

    def setup(self) -> None:
        """
        Prepare the connection for the first request.
        """
        self._prepare()
        sock = self.connection = self.request
        if native.suits(type(self), sock):
            self.is_native = True
            self.rfile: Any = _core.HttpReader(
                sock._fileno,
                self.server.url_length_limit,
                *header_sizes(self.limits),
                self.reject_bad_requests,
                self.timeout,
            )
            self.wfile: Any = native.SocketWriter(sock)
        else:
            self.rfile = sock.makefile("rb", self.rbufsize)
            self.wfile = sock.makefile("wb", self.wbufsize)
        if getattr(sock, "family", None) in (_socket.AF_INET, _socket.AF_INET6):
            # A response in several pieces must not wait for the client's delayed ACK.
            with suppress(OSError):
                sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)

    def finish(self) -> None:
        """
        Close the connection's files and tell the client that nothing more comes.
        """
        for file in (self.wfile, self.rfile):
            close = getattr(file, "close", None)
            if close is not None:
                # What could not be written belongs to a client that is gone.
                with suppress(OSError, ValueError):
                    close()
        self.server_closes()

    def server_closes(self) -> None:
        """
        End the connection in an order in which the client gets the last response.

        A socket that is closed with bytes left to read sends a reset, upon which the
        client may lose what it has not read. So the end is announced first, and what is
        there already is read.
        """
        sock = self.connection
        if isinstance(sock, GreenSocket):
            sock = sock.fd
        elif not isinstance(sock, _kernel.socket):
            # Something that stands in for a socket.
            return
        if sock.fileno() < 0:
            return
        session = getattr(sock, "_sslobj", None)
        if session is not None:
            # Without TLS's own announcement this could be the work of an attacker.
            with suppress(OSError):
                session.shutdown()
        try:
            # Beneath TLS, which may have bytes left to read, and no use for them.
            _kernel.socket.shutdown(sock, _socket.SHUT_WR)
            rest = _LINGER
            while rest > 0:
                data = _kernel.socket.recv(sock, min(rest, 65536))
                if not data:
                    break
                rest -= len(data)
        except OSError:
            # Nothing there, or nobody.
            pass

    def handle(self) -> None:
        """
        Serve requests until one of the two sides closes the connection. Switch point.
        """
        self.close_connection = True
        if self.is_native:
            native.serve(self)
            return
        while True:
            self.handle_one_request()
            if self.close_connection:
                break
            self.waiting_since = time.monotonic()
            # Not idle: the next request may be in the buffer.
            state, self.conn_state[2] = self.conn_state[2], STATE_REQUEST
            _core.pay_operation()
            if self.conn_state[2] is STATE_REQUEST:
                self.conn_state[2] = state

    def _prepare(self) -> None:
        """Find out what is the same for all requests of the connection."""
        server = self.server
        if server.max_http_version:
            self.protocol_version = server.max_http_version
        if not server.capitalize_response_headers:
            self.capitalize_response_headers = False
        flags = _CAPITALIZE if self.capitalize_response_headers else 0
        if self.protocol_version == "HTTP/1.0":
            flags |= _OLD_SERVER
        keepalive = server.keepalive
        if not keepalive:
            flags |= _CLOSE
        elif keepalive is not True:
            self.patience = int(keepalive)
        self.closing = flags

    def _patience(self) -> float | None:
        """Return how many seconds to wait for a request's first byte."""
        if self.conn_state[2] is STATE_CLOSE:
            # The server ends: what has arrived is served, and what is on its way, if
            # the client has just connected.
            return 0.0 if self._requested else self.limits.drain
        keepalive = self.server.keepalive
        if self._requested:
            return self.timeout if keepalive is True else float(keepalive)
        first, each = self.limits.first_byte, self.timeout
        return each if first is None else first if each is None else min(first, each)

    def is_silent(self) -> bool:
        """
        Say whether the connection waits for a request of which nothing has come.
        """
        return not (self.rfile.pending if self.is_native else self._begun)

    def send_bytes(self, data: bytes) -> None:
        """
        Send `data`, all of it. Switch point.
        """
        if self.is_native:
            self.connection.sendall(data)
        else:
            self.wfile.write(data)
            self.wfile.flush()

    def _set_idle(self) -> None:
        """Let a server that shuts down close the connection at once."""
        if self.conn_state[2] is not STATE_CLOSE:
            self.conn_state[2] = STATE_IDLE

    # Requests

    def _body(self, flags: int, length: int) -> Input:
        """Return the body of a request; -1 is no length."""
        body = Input(
            self.rfile,
            None if length < 0 else length,
            self.connection,
            None,
            None,
            flags & _CHUNKED != 0,
        )
        if flags & _EXPECTS:
            body.wfile = self.wfile
            body.wfile_line = b"HTTP/1.1 100 Continue\r\n"
        limits = self.limits
        if length > 0 or flags & _CHUNKED:
            body.whole = limits.whole_bodies and self.reject_bad_requests
            body.largest = limits.body_size
            seconds, rate = self.body_timeout, limits.body_rate
            if seconds is not None or rate is not None:
                body.pace = Pace(seconds, rate, limits.body_grace)
        return body

    def _is_too_large(self, length: int) -> bool:
        """Refuse a request whose body is larger than the limit on it."""
        largest = self.limits.body_size
        if largest is None or length <= largest:
            return False
        self._refuse(413, "Content Too Large", f"a body of {length} bytes")
        return True

    def _remember(self, environ: dict[str, Any]) -> None:
        """Set what the methods that write the log look at."""
        self.command = environ["REQUEST_METHOD"]
        path = environ["RAW_PATH_INFO"]
        query = environ.get("QUERY_STRING")
        self.path = path if query is None else f"{path}?{query}"
        self.request_version = environ["SERVER_PROTOCOL"]
        self.requestline = f"{self.command} {self.path} {self.request_version}"
        self._raw_headers = environ["headers_raw"]
        self._headers = None
        self._forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")

    @property
    def headers(self) -> Any:
        """
        The request's headers, as a `MessageClass`.
        """
        if self._headers is None:
            self._headers = self._message(self._raw_headers)
        return self._headers

    @headers.setter
    def headers(self, message: Any) -> None:
        self._headers = message
        # Whatever a subclass uses in place of a message.
        get_all = getattr(message, "get_all", None)
        self._forwarded = ",".join(get_all("X-Forwarded-For", ()) if get_all else ())

    def _message(self, headers: Any) -> Any:
        message = self.MessageClass()
        for name, value in headers:
            message.set_raw(name, value)
        return message

    def _of_connection(self, environ: dict[str, Any]) -> dict[str, Any]:
        """Add to ``environ`` what is the same for all requests of the connection."""
        if self._addresses is None:
            name = getattr(self.request, "getsockname", lambda: self.server.address)()
            host, port = addr_to_host_port(name)
            addresses = {"SERVER_NAME": host, "SERVER_PORT": str(port)}
            host, port = addr_to_host_port(self.client_address)
            addresses.update(REMOTE_ADDR=host, REMOTE_PORT=str(port))
            self._addresses = addresses
        environ.update(self._addresses)
        environ["GATEWAY_INTERFACE"] = "CGI/1.1"
        environ["SCRIPT_NAME"] = ""
        environ["CONTENT_TYPE"] = "text/plain"
        # The key stays when the value is set.
        environ[HEADERS_RAW] = ()
        return environ

    # Refusals and logs

    def _refuse(self, code: int, reason: str, detail: str) -> None:
        """Answer a request that is not served, and close the connection."""
        self.close_connection = True
        note(
            self.server.log.debug,
            f"({self.server.pid}) {code} {reason} to {self.client_address!r}: {detail}",
        )
        with suppress(OSError):
            if native.is_overridden(self, "send_error"):
                # A subclass words refusals itself.
                self.send_error(code, reason, detail or None)
                self.wfile.flush()
                return
            head = f"HTTP/1.0 {code} {reason}\r\n"
            head += "Connection: close\r\nContent-Length: 0\r\n\r\n"
            self.send_bytes(head.encode("latin-1"))

    def get_client_address(self) -> tuple[Any, Any]:
        """
        Return host and port of the client for the log.

        Where proxies tell whom they speak for, the host is a list of all, the client
        first, unless the server runs with ``log_x_forwarded_for=False``.
        """
        host, port = addr_to_host_port(self.client_address)
        if self.server.log_x_forwarded_for:
            forwarded = self._forwarded
            if forwarded:
                host = f"{forwarded.replace(' ', '')},{host}"
        return host, port

    def address_string(self) -> str:
        """
        Return the client's host.
        """
        return str(addr_to_host_port(self.client_address)[0])

    def log_date_time_string(self) -> str:
        """
        Return the time as logs have it.
        """
        now = int(time.time())
        if _date[0] != now:
            _date[:] = now, super().log_date_time_string()
        return str(_date[1])

    def log_message(self, format: str, *args: Any) -> None:
        """
        Write a line to the server's log.
        """
        message = plain(format % args)
        date = self.log_date_time_string()
        note(self.server.log.info, f"{self.address_string()} - - [{date}] {message}")


native.remember(HttpProtocol)
