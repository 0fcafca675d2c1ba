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

socket = GreenSocket
SocketType = GreenSocket


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

_borrow(globals(), "socket", skip=("create_connection", "create_server", "getfqdn"))


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


create_connection = _rebind("create_connection")
create_server = _rebind("create_server")
getfqdn = _rebind("getfqdn")
