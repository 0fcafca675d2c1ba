"""
What green sockets do with the real socket below them.

None of it needs a green socket, so that SSL sockets, which are real sockets of their
own kind, use it as well.
"""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

from eventlet import hubs
from eventlet._patch.originals import original

if TYPE_CHECKING:
    from collections.abc import Callable

socket_module = original("socket")
os_module = original("os")
clock_module = original("time")
RealSocket = socket_module.socket
_GLOBAL_DEFAULT_TIMEOUT = socket_module._GLOBAL_DEFAULT_TIMEOUT

SOCKET_BLOCKING = {errno.EAGAIN, errno.EWOULDBLOCK}
SOCKET_CLOSED = {errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN, errno.EPIPE}
CONNECT_ERR = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK}
CONNECT_SUCCESS = {0, errno.EISCONN}

socket_timeout = TimeoutError

DEFAULT_FAMILY = socket_module.AF_INET
_INTERNET = (socket_module.AF_INET, getattr(socket_module, "AF_INET6", -1))
# A full queue of a local listener gives no event to wait for: seconds between attempts.
_BACKLOG_RETRY = 0.005

# The descriptors of `_socket.socket`: the properties of the class above it turn each
# number into an enumeration member, which costs more than the accept around it.
_plain = RealSocket.__mro__[1]
_family, _type, _proto = (vars(_plain)[n].__get__ for n in ("family", "type", "proto"))


def kind_of(sock: Any) -> tuple[int, int, int]:
    """
    Return family, type and protocol of `sock`, which may act as a socket without being one.
    """
    if isinstance(sock, _plain):
        return _family(sock), _type(sock), _proto(sock)
    return sock.family, sock.type, sock.proto


def forget(sock: Any) -> None:
    """
    Have the hub forget the descriptor of `sock`, and wake whoever waits on it.
    """
    fd = sock.fileno()
    if fd >= 0:
        hubs.notify_close(fd)


class HubSocket(RealSocket):  # type: ignore[misc,valid-type]
    """
    A real socket that tells the hub before its descriptor is gone.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        # Of the kind that programs know: they see it when one is dropped unclosed.
        inner = super().__repr__().partition(" ")[2]
        return f"<eventlet.greenio.base.GreenSocket {inner}"

    def _real_close(self, _ss: Any = _plain) -> None:
        forget(self)
        super()._real_close(_ss)

    def detach(self) -> int:
        """
        Give the descriptor away, and the hub's knowledge of it up.
        """
        forget(self)
        return super().detach()

    def __del__(self) -> None:
        try:
            forget(self)
        except Exception:  # noqa: S110
            # The interpreter is ending, and has taken modules apart.
            pass
        finally:
            super().__del__()


def set_nonblocking(fd: Any) -> None:
    """
    Put a socket, or another object with a descriptor, into non-blocking mode.

    Raises:
        AttributeError: If it has neither `setblocking` nor `fileno`.
    """
    try:
        setblocking = fd.setblocking
    except AttributeError:
        os_module.set_blocking(fd.fileno(), False)
    else:
        setblocking(0)


def shutdown_safe(sock: Any) -> None:
    """
    Shut down both directions of `sock`, whether or not it is connected or open.

    Works for plain, SSL and pyOpenSSL sockets. Not a switch point for the first.
    """
    try:
        try:
            sock.shutdown(socket_module.SHUT_RDWR)
        except TypeError:
            # pyOpenSSL's takes no argument.
            sock.shutdown()
    except OSError as error:
        if error.errno not in (
            errno.ENOTCONN,
            errno.EBADF,
            errno.ENOTSOCK,
            errno.EPIPE,
        ):
            raise


def socket_connect(descriptor: Any, address: Any) -> Any:
    """
    Try to connect the real socket `descriptor`, without waiting.

    Returns:
        The socket if it is connected, None if that is under way.

    Raises:
        OSError: If it failed.
    """
    err = descriptor.connect_ex(address)
    if err in CONNECT_ERR:
        return None
    if err not in CONNECT_SUCCESS:
        raise OSError(err, errno.errorcode.get(err, "") and os_module.strerror(err))
    return descriptor


def socket_checkerr(descriptor: Any) -> None:
    """
    Raise the error that the real socket `descriptor` has pending, if there is one.
    """
    err = descriptor.getsockopt(socket_module.SOL_SOCKET, socket_module.SO_ERROR)
    if err not in CONNECT_SUCCESS:
        raise OSError(err, os_module.strerror(err))


def socket_accept(descriptor: Any) -> Any:
    """
    Accept a connection on the real socket `descriptor`, without waiting.

    Returns:
        The new real socket and the address of its peer, None if nobody connects.
    """
    try:
        fd, address = descriptor._accept()
    except BlockingIOError:
        return None
    return HubSocket(*kind_of(descriptor), fileno=fd), address


def connect_waiting(
    sock: Any, connect_ex: Callable[[Any], int], address: Any, timeout: float | None
) -> None:
    """
    Connect the real socket `sock` by its `connect_ex`. Switch point.

    Raises:
        TimeoutError: If it is not connected after `timeout` seconds.
        OSError: If it failed.
    """
    end = None if timeout is None else clock_module.monotonic() + timeout
    while True:
        err = connect_ex(address)
        if err in CONNECT_SUCCESS:
            return
        left = None if end is None else end - clock_module.monotonic()
        if err == errno.EAGAIN and sock.family == socket_module.AF_UNIX:
            if left is not None and left <= 0:
                raise socket_timeout("timed out")
            _sleep(_BACKLOG_RETRY)
            continue
        if err not in CONNECT_ERR:
            raise OSError(err, os_module.strerror(err))
        hubs.trampoline(
            sock.fileno(),
            write=True,
            timeout=None if left is None else max(left, 0),
            timeout_exc=socket_timeout("timed out"),
        )
        socket_checkerr(sock)


def resolved(address: Any, family: int, kind: int, proto: int) -> Any:
    """
    Return `address` with its host name, if it is one, looked up. Switch point then.

    Raises:
        OSError: `socket.gaierror` if the host is unknown.
    """
    if family not in _INTERNET or not isinstance(address, tuple) or not address:
        return address
    host = address[0]
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "surrogateescape")
    # No host, or broadcast: the socket knows. An address needs no resolving.
    if not isinstance(host, str) or not host or host[0] in "<:" or "%" in host:
        return address
    try:
        socket_module.inet_pton(family, host)
    except (OSError, ValueError):
        pass
    else:
        return address
    from eventlet.green import socket

    found = socket.getaddrinfo(host, None, family, kind, proto)
    return (found[0][4][0], *address[1:])


def check_timeout(howlong: Any) -> float | None:
    """
    Return a timeout as a number of seconds, None for no limit.

    A bare object is what the standard modules, each copy its own, take for "not
    given": it means the default timeout.

    Raises:
        TypeError: If it is no number.
        ValueError: If it is negative, or not a number after all.
        OverflowError: If the system has no such time.
    """
    if howlong is None:
        return None
    if type(howlong) is object:
        return socket_module.getdefaulttimeout()
    convert = getattr(howlong, "__float__", None) or getattr(howlong, "__index__", None)
    if convert is None:
        message = f"a number is required for a timeout, not {type(howlong).__name__}"
        raise TypeError(message)
    seconds = float(convert())
    if not seconds >= 0:
        message = "Timeout value out of range"
        raise ValueError(message)
    if seconds > _LONGEST:
        message = "timeout doesn't fit into C timeval"
        raise OverflowError(message)
    return seconds


_LONGEST = (1 << 63) / 1e9


def _sleep(seconds: float) -> None:
    from eventlet.greenthread import sleep

    sleep(seconds)
