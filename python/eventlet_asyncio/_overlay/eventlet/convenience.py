"""Shortcuts for TCP clients and servers."""

from __future__ import annotations

import errno
import sys

# Only for a default value: `socket` itself is imported when needed.
from _socket import AF_INET
from typing import TYPE_CHECKING, Any

from eventlet import greenthread
from eventlet.greenpool import GreenPool
from eventlet.support.greenlets import GreenletExit

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["StopServe", "connect", "listen", "serve", "wrap_ssl"]


class ReuseRandomPortWarning(Warning):
    """SO_REUSEPORT was asked for together with a port of the system's choice."""


class ReusePortUnavailableWarning(Warning):
    """SO_REUSEPORT was asked for and the system refused it."""


class StopServe(Exception):
    """Raised by a connection's handler to end `serve` in good order."""


def connect(addr: Any, family: int = AF_INET, bind: Any = None) -> Any:
    """
    Open a client connection.

    Switch point.

    Args:
        addr: Where to connect; for TCP a pair of host and port.
        family: Address family, as for ``socket.socket``.
        bind: Local address to connect from.

    Returns:
        The connected green socket.
    """
    socket = _green_socket()
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if bind is not None:
            sock.bind(bind)
        sock.connect(addr)
    except BaseException:
        sock.close()
        raise
    return sock


def listen(
    addr: Any,
    family: int = AF_INET,
    backlog: int = 50,
    reuse_addr: bool = True,
    reuse_port: bool | None = None,
) -> Any:
    """
    Open a server socket.

    Args:
        addr: Where to listen; for TCP a pair of host and port. Port 0 lets the
            system choose.
        family: Address family, as for ``socket.socket``.
        backlog: How many connections may wait to be accepted.
        reuse_addr: Allow to listen again at once where a server has just ended.
        reuse_port: Let several sockets listen on the same port, with
            connections spread over them. None means: if the system can, and
            the port is not one of its choice.

    Returns:
        The listening green socket.

    Warns:
        ReuseRandomPortWarning: If ``reuse_port`` is asked for with port 0,
            where it would let a stranger share the port; it is left out.
        ReusePortUnavailableWarning: If the system refuses ``reuse_port``.
    """
    socket = _green_socket()
    is_ip = family in (socket.AF_INET, socket.AF_INET6)
    if is_ip and addr[1] == 0:
        if reuse_port:
            _warn(
                "listen() with port 0 and reuse_port: SO_REUSEPORT is not set,"
                " another program could get the same port. Pass reuse_port=False.",
                ReuseRandomPortWarning,
                stacklevel=3,
            )
        reuse_port = False
    elif reuse_port is None:
        # A unix socket is found by its path: there is no port to share.
        reuse_port = is_ip and hasattr(socket, "SO_REUSEPORT")
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        if reuse_addr and not sys.platform.startswith("win"):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            _set_reuse_port(sock, socket)
        sock.bind(addr)
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def _green_socket() -> Any:
    from eventlet.green import socket

    return socket


def _set_reuse_port(sock: Any, socket: Any) -> None:
    option = getattr(socket, "SO_REUSEPORT", None)
    if option is not None:
        try:
            sock.setsockopt(socket.SOL_SOCKET, option, 1)
        except OSError as error:
            # Systems that name the option and do not know it.
            unknown = (errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP)
            if error.errno not in unknown:
                raise
        else:
            return
    _warn(
        "listen() with reuse_port: this system has no SO_REUSEPORT, going on"
        " without. Pass reuse_port=False.",
        ReusePortUnavailableWarning,
        stacklevel=4,
    )


def _warn(message: str, category: type[Warning], stacklevel: int) -> None:
    import warnings

    warnings.warn(message, category, stacklevel)


def serve(
    sock: Any, handle: Callable[[Any, Any], Any], concurrency: int = 1000
) -> None:
    """
    Accept connections for ever and handle each in a green thread of its own.

    Always a switch point. The connection is closed when its handler ends.

    Args:
        sock: The listening socket, as from `listen`.
        handle: Called with the connection and the client's address. If it
            raises `StopServe`, serve returns; any other exception ends serve
            too and is raised from it.
        concurrency: How many connections are handled at once; while there are
            as many no more are accepted.
    """
    pool = GreenPool(concurrency)
    server = greenthread.getcurrent()
    try:
        while True:
            connection, address = sock.accept()
            thread = pool.spawn(handle, connection, address)
            thread.link(_connection_done, server, connection)
            # Held by the green thread alone: gone when it is done, not when
            # the next client happens to come.
            del connection, address, thread
    except StopServe:
        return


def _connection_done(thread: Any, server: Any, connection: Any) -> None:
    """Close a handled connection; hand the handler's failure to the server."""
    try:
        try:
            thread.wait()
        finally:
            connection.close()
    except (GreenletExit, KeyboardInterrupt, SystemExit):
        # Killed, or the end of the program: the hub has told main already.
        pass
    except BaseException as error:
        greenthread.kill(server, type(error), error, error.__traceback__)


def wrap_ssl(sock: Any, *a: Any, **kw: Any) -> Any:
    """
    Speak TLS on a connected or listening socket.

    Takes the arguments ``ssl.wrap_socket`` had. As there, nothing is verified
    unless ``cert_reqs`` and ``ca_certs`` ask for it: for a client that checks
    whom it talks to use ``eventlet.green.ssl.create_default_context``.

    Switch point if the handshake is made at once: on a connected socket.

    Returns:
        The wrapped socket. Where Python has no ``ssl``, a PyOpenSSL connection;
        then only ``keyfile``, ``certfile`` and ``server_side`` count.
    """
    return wrap_ssl_impl(sock, *a, **kw)


def wrap_ssl_impl(sock: Any, *a: Any, **kw: Any) -> Any:
    """Wrap a socket with whichever TLS library there is; see `wrap_ssl`."""
    try:
        from eventlet.green import ssl
    except ImportError:
        return _wrap_with_pyopenssl(sock, *a, **kw)
    return ssl.wrap_socket(sock, *a, **kw)


def _wrap_with_pyopenssl(
    sock: Any,
    keyfile: str | None = None,
    certfile: str | None = None,
    server_side: bool = False,
    **_ignored: Any,
) -> Any:
    try:
        from eventlet.green.OpenSSL import SSL
    except ImportError:
        msg = "wrap_ssl() needs Python's ssl module or PyOpenSSL: install pyopenssl"
        raise ImportError(msg) from None
    context = SSL.Context(SSL.SSLv23_METHOD)
    if certfile is not None:
        context.use_certificate_file(certfile)
    if keyfile is not None:
        context.use_privatekey_file(keyfile)
    context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
    connection: Any = SSL.Connection(context, sock)
    if server_side:
        connection.set_accept_state()
    else:
        connection.set_connect_state()
    return connection
