"""
The end of a listening socket, at which nobody who has connected is lost.
"""

from __future__ import annotations

import _socket as _kernel
import errno
import os
from functools import partial
from typing import Any

from eventlet.green.ssl import GreenSSLSocket
from eventlet.greenio.base import GreenSocket
from eventlet.greenio.real import HubSocket
from eventlet_asyncio import _core

__all__ = ["CLIENT_LEFT", "end_listening"]

# Of accept(): the client gave up while it waited.
CLIENT_LEFT = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.ENOTCONN,
        errno.EPIPE,
        errno.EPROTO,
        errno.ESHUTDOWN,
    }
)


_TCP = (_kernel.AF_INET, _kernel.AF_INET6)
# Something for each fork of this process, and of those that it was forked from.
_forks: list[None] = []
_note = partial(_forks.append, None)
os.register_at_fork(after_in_parent=_note, after_in_child=_note)


def end_listening(sock: Any) -> list[tuple[Any, Any]]:
    """
    Close a listening socket and return the connections that had arrived.

    Closing resets whoever has connected and was not accepted, or is about to have. So no
    handshake may begin for two milliseconds, in which those that have begun end; then the
    kernel is asked for connections until it has no more, and at once told to refuse
    clients. Not a switch point: whoever kills a server finds its address free.

    A process that has forked may share the socket with others. Whom it does not accept is
    theirs then, and handshakes go on.

    Returns:
        Pairs of a connection and the address of its peer, as from `accept`.
    """
    number = sock.fileno() if isinstance(sock, _kernel.socket | GreenSocket) else None
    if number is None or number < 0:
        # What stands in for a socket may never come to an end.
        sock.close()
        return []
    if type(sock).accept not in (GreenSocket.accept, GreenSSLSocket.accept):
        return _accept_each(sock)
    kind = sock.family, sock.type, sock.proto
    alone = not _forks and sock.family in _TCP
    taken = []
    for descriptor in _core.end_listening(sock.detach(), alone):
        real = HubSocket(*kind, fileno=descriptor)
        try:
            address = real.getpeername()
        except OSError:
            # It has left already.
            real.close()
        else:
            taken.append((sock._green(real), address))
    return taken


def _accept_each(sock: Any) -> list[tuple[Any, Any]]:
    """Do the same by the socket's own way of accepting."""
    taken = []
    sock.settimeout(0)
    while True:
        try:
            taken.append(sock.accept())
        except OSError as error:
            if error.errno not in CLIENT_LEFT:
                break
    sock.close()
    return taken
