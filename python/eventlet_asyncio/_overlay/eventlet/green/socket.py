"""
The module `socket` with green sockets and a resolver that does not block.

The system's resolver is used, in an OS thread, so that the hosts file and the name
service switch hold. Where dnspython is installed, `eventlet.support.greendns` is used
as by upstream, unless `EVENTLET_NO_GREENDNS=yes` is set; `EVENTLET_TPOOL_DNS=yes` asks
for the system's resolver as well.
"""

from __future__ import annotations

import builtins as _builtins
import os as _os
from typing import TYPE_CHECKING, Any

from eventlet._patch.copies import borrow as _borrow
from eventlet._patch.originals import original as _original
from eventlet._patch.plan import is_available as _is_available
from eventlet.greenio.base import _GLOBAL_DEFAULT_TIMEOUT, GreenSocket
from eventlet.greenio.base import HubSocket as _HubSocket

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        """Stand for what `borrow` takes over."""


_socket = _original("socket")

__all__ = _socket.__all__
__patched__ = [
    "SocketType",
    "create_connection",
    "create_server",
    "fromfd",
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "socket",
    "socketpair",
]

socket = SocketType = GreenSocket


def _with_dnspython() -> bool:
    if "yes" in (
        _os.environ.get("EVENTLET_NO_GREENDNS", "").lower(),
        _os.environ.get("EVENTLET_TPOOL_DNS", "").lower(),
    ):
        return False
    return _is_available("dns")


def fromfd(*args: Any) -> GreenSocket:
    """
    Return a green socket for a duplicate of a descriptor.

    Args:
        args: Descriptor, family, type and protocol, as for `socket.fromfd`.
    """
    fd, *rest = args
    return GreenSocket(_HubSocket(*rest, fileno=_socket.dup(fd)))


def socketpair(*args: Any) -> tuple[GreenSocket, GreenSocket]:
    """
    Return two green sockets connected with each other.

    Args:
        args: Family, type and protocol, as for `socket.socketpair`.
    """
    one, two = _socket.socketpair(*args)
    return _taken(one), _taken(two)


def _taken(real: Any) -> GreenSocket:
    family, kind, proto = real.family, real.type, real.proto
    return GreenSocket(_HubSocket(family, kind, proto, fileno=real.detach()))


def create_connection(
    address: Any,
    timeout: Any = _GLOBAL_DEFAULT_TIMEOUT,
    source_address: Any = None,
    *,
    all_errors: bool = False,
) -> GreenSocket:
    """
    Connect to `(host, port)`, trying each address of the host. Switch point.

    Args:
        timeout: Limits each attempt, and holds for the socket afterwards.
        source_address: The local `(host, port)` to connect from.
        all_errors: Raise the errors of all attempts as a group, not the first alone.

    Raises:
        OSError: If no attempt succeeded.
    """
    host, port = address
    errors: list[OSError] = []
    for family, kind, proto, _name, target in getaddrinfo(
        host, port, 0, _socket.SOCK_STREAM
    ):
        sock = None
        try:
            sock = GreenSocket(family, kind, proto)
            if timeout is not _GLOBAL_DEFAULT_TIMEOUT:
                sock.settimeout(timeout)
            if source_address:
                sock.bind(source_address)
            sock.connect(target)
        except OSError as error:
            if not all_errors:
                errors.clear()
            errors.append(error)
            if sock is not None:
                sock.close()
        except BaseException:
            if sock is not None:
                sock.close()
            raise
        else:
            errors.clear()
            return sock
    try:
        if not errors:
            message = "getaddrinfo returns an empty list"
            raise OSError(message)
        if all_errors:
            message = "create_connection failed"
            raise _builtins.ExceptionGroup(message, errors)
        raise errors[0]
    finally:
        errors.clear()  # the errors refer to this frame


if _with_dnspython():
    from eventlet.support.greendns import (
        getaddrinfo,
        gethostbyname,
        gethostbyname_ex,
        getnameinfo,
    )

    gethostbyaddr = _socket.gethostbyaddr
else:
    from eventlet.support._resolver import (
        getaddrinfo,
        gethostbyaddr,
        gethostbyname,
        gethostbyname_ex,
        getnameinfo,
    )

_borrow(globals(), "socket", skip=("create_server", "getfqdn"))


def _rebind(name: str) -> Any:
    """Return a function of the standard module that calls green ones instead."""
    from types import FunctionType

    function = getattr(_socket, name)
    copy = FunctionType(
        function.__code__,
        globals(),
        name,
        function.__defaults__,
        function.__closure__,
    )
    copy.__kwdefaults__ = function.__kwdefaults__
    copy.__doc__ = function.__doc__
    return copy


create_server = _rebind("create_server")
getfqdn = _rebind("getfqdn")
