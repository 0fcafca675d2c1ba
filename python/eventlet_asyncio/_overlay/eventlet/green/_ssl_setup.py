"""
What is settled before a green SSL socket begins: its context, and what it wraps.
"""

from __future__ import annotations

import errno
import ssl as _std
import warnings
from types import FunctionType
from typing import TYPE_CHECKING, Any

from eventlet._patch.originals import original
from eventlet.greenio.real import RealSocket

_socket = original("socket")


def context_for(
    make: Any,
    keyfile: Any,
    certfile: Any,
    server_side: bool,
    cert_reqs: Any,
    ssl_version: Any,
    ca_certs: Any,
    ciphers: Any,
) -> Any:
    """
    Return a context for one socket, as `ssl.wrap_socket` made it.

    Args:
        make: The class of the context.

    Raises:
        ValueError: If the arguments cannot work together.
    """
    if ssl_version is None or ssl_version == _std.PROTOCOL_TLS:
        client, server = _std.PROTOCOL_TLS_CLIENT, _std.PROTOCOL_TLS_SERVER
        ssl_version = server if server_side else client
    if server_side and not certfile:
        message = "certfile must be specified for server-side operations"
        raise ValueError(message)
    if keyfile and not certfile:
        message = "certfile must be specified"
        raise ValueError(message)
    if cert_reqs and cert_reqs != _std.CERT_NONE and not ca_certs:
        message = "certfile must be specified for checking the peer: set ca_certs"
        raise ValueError(message)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context = make(ssl_version)
    context.check_hostname = False
    context.verify_mode = _std.CERT_NONE if cert_reqs is None else cert_reqs
    if ca_certs:
        context.load_verify_locations(ca_certs)
    if certfile:
        context.load_cert_chain(certfile, keyfile)
    if ciphers:
        context.set_ciphers(ciphers)
    return context


def check_wrap(
    sock: Any, context: Any, server_side: bool, server_hostname: Any, session: Any
) -> None:
    """
    Refuse to wrap what cannot be wrapped this way.

    Raises:
        ValueError: If the arguments do not fit together.
        NotImplementedError: If `sock` is no stream.
    """
    kind = sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_TYPE)
    if kind != _socket.SOCK_STREAM:
        message = "only stream sockets are supported"
        raise NotImplementedError(message)
    if server_side:
        if server_hostname:
            message = "server_hostname can only be specified in client mode"
            raise ValueError(message)
        if session is not None:
            message = "session can only be specified in client mode"
            raise ValueError(message)
    elif context.check_hostname and not server_hostname:
        message = "check_hostname requires server_hostname"
        raise ValueError(message)


def is_connected(sock: Any) -> bool:
    """
    Say whether `sock` has a peer.

    Raises:
        SSLError: If it had one, which sent data and is gone: that data was never part
            of an SSL connection and must not be taken for one.
    """
    try:
        sock.getpeername()
    except OSError as error:
        if error.errno != errno.ENOTCONN:
            raise
    else:
        return True
    try:
        data = RealSocket.recv(sock, 1)
    except OSError as error:
        # EINVAL: what some systems say of a socket that was shut down.
        if error.errno not in (errno.ENOTCONN, errno.EINVAL, errno.EAGAIN):
            raise
        data = b""
    if data:
        message = "Closed before TLS handshake with data in recv buffer."
        reason = _std.SSLError(_std.SSL_ERROR_EOF, message)
        reason.reason = message
        reason.library = None
        raise reason
    return False


def making(function: Any, context: Any) -> Any:
    """
    Return a function of the standard module that makes contexts of another class.
    """
    namespace = {**function.__globals__, "SSLContext": context}
    copy = FunctionType(
        function.__code__, namespace, function.__name__, function.__defaults__
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    return copy


class BeforeProtocol:
    """The part of a green SSL socket that is of use until the protocol begins."""

    if TYPE_CHECKING:
        _plain: Any
        _sslobj: Any

    def recvfrom(self, addr: int = 1024, buflen: int = 0, flags: int = 0) -> Any:
        """
        Return data and its sender, before the protocol begins. Switch point.
        """
        self._refuse_datagrams("recvfrom")
        return self._plain("read", RealSocket.recvfrom, addr, buflen or flags)

    def recvfrom_into(
        self, buffer: Any, nbytes: int | None = None, flags: int = 0
    ) -> Any:
        """
        Read into `buffer`, before the protocol begins. Switch point.
        """
        self._refuse_datagrams("recvfrom_into")
        return self._plain("read", RealSocket.recvfrom_into, buffer, nbytes or 0, flags)

    def sendto(self, data: Any, addr: Any, flags: Any = None) -> int:
        """
        Send data to an address, before the protocol begins. Switch point.
        """
        self._refuse_datagrams("sendto")
        args = (data, addr) if flags is None else (data, addr, flags)
        return self._plain("write", RealSocket.sendto, *args)

    def _refuse_datagrams(self, name: str) -> None:
        if self._sslobj is not None:
            message = f"{name} not allowed on instances of {type(self)}"
            raise ValueError(message)
