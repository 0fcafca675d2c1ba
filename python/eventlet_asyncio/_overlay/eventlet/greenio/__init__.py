"""Cooperative sockets, pipes and files."""

from eventlet.greenio import base, py3
from eventlet.greenio.base import (
    CONNECT_ERR,
    CONNECT_SUCCESS,
    SOCKET_BLOCKING,
    SOCKET_CLOSED,
    GreenSocket,
    set_nonblocking,
    shutdown_safe,
    socket_timeout,
)
from eventlet.greenio.py3 import GreenFileIO, GreenPipe, _fileobject

__all__ = [
    "CONNECT_ERR",
    "CONNECT_SUCCESS",
    "SOCKET_BLOCKING",
    "SOCKET_CLOSED",
    "GreenFileIO",
    "GreenPipe",
    "GreenSocket",
    "_fileobject",
    "base",
    "py3",
    "set_nonblocking",
    "shutdown_safe",
    "socket_timeout",
]


def __getattr__(name: str) -> object:
    if name == "SSL":
        try:
            from OpenSSL import SSL
        except ImportError:
            pass
        else:
            return SSL
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)
