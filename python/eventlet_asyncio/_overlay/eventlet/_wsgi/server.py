"""
The server: accepts connections, and ends them when it ends.
"""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import TYPE_CHECKING, Any

from eventlet import greenio
from eventlet._wsgi import limits as _limits
from eventlet._wsgi.backlog import CLIENT_LEFT, end_listening
from eventlet._wsgi.connection import HttpProtocol
from eventlet._wsgi.limits import DEFAULT, Limits
from eventlet._wsgi.log import LoggerNull, get_logger, note
from eventlet._wsgi.protocol import STATE_CLOSE
from eventlet._wsgi.registry import ASKING, Connection, Registry
from eventlet._wsgi.steps import GONE
from eventlet.green import BaseHTTPServer
from eventlet.greenpool import GreenPool
from eventlet.greenthread import sleep, spawn
from eventlet.hubs import get_hub
from eventlet.timeout import Timeout

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "DEFAULT_LOG_FORMAT",
    "DEFAULT_MAX_HTTP_VERSION",
    "DEFAULT_MAX_SIMULTANEOUS_REQUESTS",
    "MAX_REQUEST_LINE",
    "Server",
    "server",
    "socket_repr",
]

DEFAULT_MAX_SIMULTANEOUS_REQUESTS = DEFAULT.connections
DEFAULT_MAX_HTTP_VERSION = "HTTP/1.1"
MAX_REQUEST_LINE = 8192
DEFAULT_LOG_FORMAT = (
    '%(client_ip)s - - [%(date_time)s] "%(request_line)s"'
    " %(status_code)s %(body_length)s %(wall_seconds).6f"
)

# Of accept(): as long as others hold them there are no resources for one more connection.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_PAUSE = 0.1


_HTTPServer: Any = BaseHTTPServer.HTTPServer


class Server(_HTTPServer):
    """
    What all connections of a listening socket have in common.

    `server` makes one and accepts connections for it; with connections of its own a
    program calls `process_request`. The arguments are those of `server`.

    Args:
        socket: The listening socket.
        address: Its address.
        app: The WSGI application.
    """

    def __init__(
        self,
        socket: Any,
        address: Any,
        app: Callable[..., Any],
        log: Any = None,
        environ: dict[str, Any] | None = None,
        max_http_version: str | None = None,
        protocol: Any = HttpProtocol,
        minimum_chunk_size: int | None = None,
        log_x_forwarded_for: bool = True,
        keepalive: bool | float = True,
        log_output: bool = True,
        log_format: str = DEFAULT_LOG_FORMAT,
        url_length_limit: int = MAX_REQUEST_LINE,
        debug: bool = True,
        socket_timeout: float | None = None,
        capitalize_response_headers: bool = True,
        limits: Limits = DEFAULT,
    ) -> None:
        self.outstanding_requests = 0
        self.socket = socket
        self.address = address
        self.server_address = address
        self.app = app
        self.environ = environ
        self.max_http_version = max_http_version
        self.protocol = protocol
        self.pid = os.getpid()
        if minimum_chunk_size is None:
            minimum_chunk_size = getattr(
                protocol, "minimum_chunk_size", HttpProtocol.minimum_chunk_size
            )
        self.minimum_chunk_size = minimum_chunk_size
        self.log_x_forwarded_for = log_x_forwarded_for
        self.keepalive = keepalive
        self.log_output = log_output
        self.log_format = log_format
        self.log = get_logger(log, debug) if log_output else LoggerNull()
        self.url_length_limit = url_length_limit
        self.debug = debug
        self.socket_timeout = socket_timeout
        self.capitalize_response_headers = capitalize_response_headers
        self.limits = limits
        #: Set to False to have `server` return when the next connection has come.
        self.is_accepting = True
        self.is_ssl = hasattr(socket, "do_handshake")

    @property
    def has_fixed_environ(self) -> bool:
        """
        Whether `get_environ` returns the same for all requests.
        """
        return type(self).get_environ is Server.get_environ and not self.environ

    def get_environ(self) -> dict[str, Any]:
        """
        Return the part of ``environ`` that is the same for all connections.
        """
        environ: dict[str, Any] = {
            "wsgi.errors": sys.stderr,
            "wsgi.version": (1, 0),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            "wsgi.url_scheme": "http",
            # A body ends where it ends: it can be read without CONTENT_LENGTH.
            "wsgi.input_terminated": True,
        }
        if self.is_ssl:
            environ["wsgi.url_scheme"] = "https"
            environ["HTTPS"] = "on"
        if self.environ:
            environ.update(self.environ)
        return environ

    def process_request(self, conn_state: Any) -> None:
        """
        Serve a connection until its end, and close it. Switch point.

        Args:
            conn_state: A list of the client's address, the connection's socket and
                ``STATE_IDLE``.
        """
        address, sock = conn_state[0], conn_state[1]
        try:
            if self.is_ssl and hasattr(sock, "do_handshake"):
                # The first read would do it, but has other limits.
                slow = TimeoutError("timed out: TLS handshake")
                with Timeout(self.limits.handshake, slow):
                    sock.do_handshake()
            # The instance serves the connection while it is made, and is not needed
            # afterwards.
            self.protocol(conn_state, self)
        except TimeoutError:
            # The handshake, a request or a response took the client too long.
            greenio.shutdown_safe(sock)
            note(self.log.debug, f"({self.pid}) timed out {address!r}")
        except OSError as error:
            greenio.shutdown_safe(sock)
            if error.errno not in GONE and not _is_tls_error(error):
                raise
            lost = f"({self.pid}) connection lost {address!r}: {error!r}"
            note(self.log.debug, lost)
        finally:
            sock.close()

    def log_message(self, message: str) -> None:
        """
        Write a line to the log.
        """
        note(self.log.info, message)


def _is_tls_error(error: OSError) -> bool:
    # Found by name: the module is not loaded where there is no TLS.
    return any(kind.__name__ == "SSLError" for kind in type(error).__mro__)


def socket_repr(sock: Any) -> str:
    """
    Return the URL, without a path, under which a listening socket is reached.
    """
    scheme = "https" if hasattr(sock, "do_handshake") else "http"
    name = sock.getsockname()
    if not isinstance(name, tuple):
        path = os.fsdecode(name) if isinstance(name, bytes) else name
        return f"{scheme}:{path}"
    host = f"[{name[0]}]" if ":" in name[0] else name[0]
    return f"{scheme}://{host}:{name[1]}"


def server(
    sock: Any,
    site: Callable[..., Any],
    log: Any = None,
    environ: dict[str, Any] | None = None,
    max_size: int | None = None,
    max_http_version: str = DEFAULT_MAX_HTTP_VERSION,
    protocol: Any = HttpProtocol,
    server_event: Any = None,
    minimum_chunk_size: int | None = None,
    log_x_forwarded_for: bool = True,
    custom_pool: Any = None,
    keepalive: bool | float = True,
    log_output: bool = True,
    log_format: str = DEFAULT_LOG_FORMAT,
    url_length_limit: int = MAX_REQUEST_LINE,
    debug: bool = True,
    socket_timeout: float | None = None,
    capitalize_response_headers: bool = True,
    limits: Limits | None = None,
) -> None:
    """
    Serve a WSGI application. Returns when the server is shut down; always a switch point.

    Closing the listening socket, or an exception raised in this green thread (a kill,
    KeyboardInterrupt), shuts it down: nothing more is accepted than what has connected
    before, requests that have arrived are served, idle connections are closed, then the
    function returns.

    Args:
        sock: The listening socket, as from `eventlet.listen`; with TLS where it was
            wrapped by `eventlet.wrap_ssl`.
        site: The WSGI application.
        log: Where lines go: an object with ``write()``, a `logging` logger, or None
            for standard error.
        environ: What is added to ``environ`` of every request.
        max_size: How many connections are served at once, ``limits.connections`` if
            None; others wait in the socket's backlog.
        max_http_version: ``HTTP/1.0`` to offer no more than that.
        protocol: A subclass of `HttpProtocol`.
        server_event: An event that gets the `Server` once it is made.
        minimum_chunk_size: How many bytes of a response are collected before they are
            sent; ``environ["eventlet.minimum_write_chunk_size"]`` overrides it for one request.
        log_x_forwarded_for: Whether the log names the clients that proxies speak for.
        custom_pool: A `GreenPool` to run connections in.
        keepalive: Whether a connection serves several requests, or for how many seconds
            it waits for the next one.
        log_output: Whether anything is logged.
        log_format: Format of a request's line, with the names ``client_ip``,
            ``client_port``, ``date_time``, ``request_line``, ``status_code``, ``body_length`` and
            ``wall_seconds``.
        url_length_limit: The longest request line in bytes; longer ones get a 414.
        debug: Whether a failed request's traceback is sent to the client, and details
            are logged. Switch it off where strangers can reach the server.
        socket_timeout: Seconds that a client may keep the server waiting, for each
            piece that is received or sent; no limit if None.
        capitalize_response_headers: Whether header names are sent as ``Content-Type``,
            however the application writes them.
        limits: What a client may cost; the defaults of `Limits` if None.
    """
    serv = Server(
        sock,
        sock.getsockname(),
        site,
        log,
        environ=environ,
        max_http_version=max_http_version,
        protocol=protocol,
        minimum_chunk_size=minimum_chunk_size,
        log_x_forwarded_for=log_x_forwarded_for,
        keepalive=keepalive,
        log_output=log_output,
        log_format=log_format,
        url_length_limit=url_length_limit,
        debug=debug,
        socket_timeout=socket_timeout,
        capitalize_response_headers=capitalize_response_headers,
        limits=DEFAULT if limits is None else limits,
    )
    if server_event is not None:
        server_event.send(serv)
    size = serv.limits.connections if max_size is None else max_size
    pool = GreenPool(size) if custom_pool is None else custom_pool
    if not (hasattr(pool, "spawn") and hasattr(pool, "waitall")):
        msg = f"custom_pool must be a GreenPool, not {pool!r}"
        raise TypeError(msg)
    acceptor = _Acceptor(serv, sock, pool)
    try:
        note(serv.log.info, f"({serv.pid}) wsgi starting up on {socket_repr(sock)}")
        acceptor.run()
    finally:
        acceptor.end()
        note(
            serv.log.info,
            f"({serv.pid}) wsgi exited, is_accepting={serv.is_accepting}",
        )


class _Acceptor:
    """
    Accepts connections and has each served in a green thread.

    Args:
        serv: The server.
        sock: The listening socket.
        pool: Where the green threads are made.
    """

    def __init__(self, serv: Server, sock: Any, pool: Any) -> None:
        self._serv = serv
        self._sock = sock
        self._pool = pool
        self._registry = Registry(serv.limits)
        # A connection that was accepted and has no place yet.
        self._waiting: tuple[Any, Any] | None = None

    def run(self) -> None:
        """Accept connections until the listening socket, or the server, is closed."""
        serv, sock = self._serv, self._sock
        while serv.is_accepting and _limits.settings.is_accepting:
            try:
                self._waiting = sock.accept()
            except OSError as error:
                if error.errno in CLIENT_LEFT or _is_tls_error(error):
                    continue
                if error.errno in _EXHAUSTED:
                    text = f"({serv.pid}) no connection can be accepted: {error}"
                    note(serv.log.info, text)
                    sleep(_PAUSE)
                    continue
                if error.errno == errno.EBADF:
                    # Closed: the usual way to end a server.
                    return
                raise
            except (KeyboardInterrupt, SystemExit):
                note(serv.log.info, f"({serv.pid}) wsgi exiting")
                return
            self._serve()

    def _serve(self, *, last: bool = False) -> None:
        """Have the connection that was accepted served. Switch point without a place."""
        if self._waiting is None:
            return
        client, address = self._waiting
        connection = Connection(address, client)
        if last:
            connection[2] = STATE_CLOSE
        client.settimeout(self._serv.socket_timeout)
        note(self._serv.log.debug, f"({self._serv.pid}) accepted {address!r}")
        relief = None
        free = getattr(self._pool, "free", None)
        if free is not None and free() <= 0:
            relief = spawn(self._registry.make_room)
        self._registry.add(connection)
        try:
            thread = self._pool.spawn(_serve, self._serv, connection)
        except BaseException:
            self._registry.done(None, connection)
            raise
        finally:
            if relief is not None:
                relief.kill()
        self._waiting = None
        thread.link(self._registry.done, connection)

    def end(self) -> None:
        """
        Accept nothing more, and serve what has arrived. Switch point.

        Whoever has connected is accepted and served; the socket is closed before, so
        that others are refused at once and can try elsewhere.
        """
        backlog = end_listening(self._sock)
        if self._waiting is not None:
            backlog.insert(0, self._waiting)
            self._waiting = None
        registry, later = self._registry, get_hub().schedule_call_global
        registry.end()
        timers = [
            later(ASKING, registry.end_idle),
            later(self._serv.limits.drain, registry.cut_off),
        ]
        try:
            for waiting in backlog:
                self._waiting = waiting
                try:
                    self._serve(last=True)
                except Exception:
                    # A pool that takes no more.
                    waiting[0].close()
                    note(self._serv.log.info, traceback.format_exc().rstrip("\n"))
            self._pool.waitall()
        finally:
            for timer in timers:
                timer.cancel()


def _serve(serv: Server, state: Connection) -> None:
    """Serve a connection; what nobody expected goes to the log."""
    try:
        serv.process_request(state)
    except Exception:
        note(serv.log.info, traceback.format_exc().rstrip("\n"))
