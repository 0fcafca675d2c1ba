"""
A WSGI server.

`server` serves an application on a listening socket, each connection in a green thread
of its own.

What a client may cost is limited by `Limits`. The sizes ``MAX_HEADER_LINE`` and
``MAX_TOTAL_HEADER_SIZE`` may be set by a program; they hold for connections accepted from
then on.
"""

from __future__ import annotations

import errno as _errno
import sys as _sys

from eventlet._wsgi import limits as _limits
from eventlet._wsgi.connection import (
    MINIMUM_CHUNK_SIZE,
    STATE_CLOSE,
    STATE_IDLE,
    STATE_REQUEST,
    HttpProtocol,
)
from eventlet._wsgi.exchange import ALREADY_HANDLED, WSGI_LOCAL
from eventlet._wsgi.limits import BodyTimeout, Limits
from eventlet._wsgi.log import LoggerFileWrapper, LoggerNull, get_logger
from eventlet._wsgi.protocol import (
    BodyTooLarge,
    ChunkReadError,
    FileObjectForHeaders,
    HeaderLineTooLong,
    HeadersTooLarge,
    IncompleteBody,
    Input,
    addr_to_host_port,
    format_date_time,
)
from eventlet._wsgi.protocol import encode_header_line as _encode_header_line
from eventlet._wsgi.server import (
    DEFAULT_LOG_FORMAT,
    DEFAULT_MAX_HTTP_VERSION,
    DEFAULT_MAX_SIMULTANEOUS_REQUESTS,
    MAX_REQUEST_LINE,
    Server,
    server,
    socket_repr,
)
from eventlet.green import BaseHTTPServer

__all__ = [
    "ACCEPT_ERRNO",
    "ACCEPT_EXCEPTIONS",
    "ALREADY_HANDLED",
    "BAD_SOCK",
    "BROKEN_SOCK",
    "DEFAULT_LOG_FORMAT",
    "DEFAULT_MAX_HTTP_VERSION",
    "DEFAULT_MAX_SIMULTANEOUS_REQUESTS",
    "MAX_HEADER_LINE",
    "MAX_REQUEST_LINE",
    "MAX_TOTAL_HEADER_SIZE",
    "MINIMUM_CHUNK_SIZE",
    "STATE_CLOSE",
    "STATE_IDLE",
    "STATE_REQUEST",
    "WSGI_LOCAL",
    "BaseHTTPServer",
    "BodyTimeout",
    "BodyTooLarge",
    "ChunkReadError",
    "FileObjectForHeaders",
    "HeaderLineTooLong",
    "HeadersTooLarge",
    "HttpProtocol",
    "IncompleteBody",
    "Input",
    "Limits",
    "LoggerFileWrapper",
    "LoggerNull",
    "Server",
    "_encode_header_line",
    "addr_to_host_port",
    "format_date_time",
    "get_logger",
    "is_accepting",
    "server",
    "socket_repr",
]

#: Errors that tell that the peer is gone, and that a socket is closed, for servers built
#: on this one.
BROKEN_SOCK = {_errno.EPIPE, _errno.ECONNRESET, _errno.ESHUTDOWN}
BAD_SOCK = {_errno.EBADF}
#: What accepting a connection may raise without being the end of the server.
ACCEPT_ERRNO = {*BROKEN_SOCK, _errno.ENOTCONN}
ACCEPT_EXCEPTIONS = (OSError,)

#: Set to False to have every server return when its next connection has come.
is_accepting = True

MAX_HEADER_LINE = 8192
MAX_TOTAL_HEADER_SIZE = 65536
_limits.settings = _sys.modules[__name__]
