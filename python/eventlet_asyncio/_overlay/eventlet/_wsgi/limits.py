"""
What a client may cost: sizes, seconds and numbers, in one place.

A server is given one `Limits`; whoever reads from a client asks it. The two sizes that
programs set in `eventlet.wsgi` itself are looked up there, each time a connection begins.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import Any

from eventlet.timeout import Timeout

__all__ = ["DEFAULT", "BodyTimeout", "Limits", "Pace", "header_sizes"]


@dataclass(frozen=True)
class Limits:
    """
    What `eventlet.wsgi.server` allows a client: its argument ``limits``.

    Times are seconds, sizes bytes. None lifts a limit.

    Raises:
        ValueError: If a limit is negative or no number.
    """

    #: From the connection, or its TLS handshake, to the first byte of a request.
    first_byte: float | None = 60.0
    #: From a request's first byte to the end of its head.
    head: float | None = 60.0
    #: For the TLS handshake.
    handshake: float | None = 30.0
    #: From the first read of a body to its end.
    body: float | None = None
    #: Bytes per second that a body must come with, on average over the time that reads
    #: have waited for it, once that is longer than ``body_grace``.
    body_rate: float | None = 100.0
    body_grace: float = 60.0
    #: The largest body. Applications that keep what they read want one.
    body_size: int | None = None
    #: How much of a body that the application left unread is read and thrown away, so that
    #: the connection can be used again.
    discard: int | None = 16 << 20
    #: Connections served at once, where the argument ``max_size`` does not say.
    connections: int = 1024
    #: How long a connection without a request is left alone when others wait for its place.
    spare: float = 1.0
    #: How long, when the server ends, requests are waited for that have begun to arrive.
    drain: float = 1.0
    #: One header line and all of them; None: ``eventlet.wsgi.MAX_HEADER_LINE`` and
    #: ``eventlet.wsgi.MAX_TOTAL_HEADER_SIZE``.
    header_line: int | None = None
    headers: int | None = None
    #: Whether a body that ends before its Content-Length is an error for the application.
    whole_bodies: bool = True

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and "None" in str(field.type):
                continue
            if not isinstance(value, (int, float)) or not value >= 0:
                msg = f"Limits.{field.name} must be a number from 0 on, not {value!r}"
                raise ValueError(msg)
        if self.connections < 1:
            msg = "Limits.connections must be at least 1: nobody would be served"
            raise ValueError(msg)


DEFAULT = Limits()


class _Settings:
    is_accepting = True
    MAX_HEADER_LINE = 8192
    MAX_TOTAL_HEADER_SIZE = 65536


#: What holds that which a program may set for all servers: `eventlet.wsgi`, which is above this module,
#: puts itself here.
settings: Any = _Settings


def header_sizes(limits: Limits = DEFAULT) -> tuple[int, int]:
    """
    Return how long a header line may be, and all of them together.
    """
    line, whole = limits.header_line, limits.headers
    return (
        settings.MAX_HEADER_LINE if line is None else line,
        settings.MAX_TOTAL_HEADER_SIZE if whole is None else whole,
    )


class BodyTimeout(TimeoutError):
    """A client sends a request's body too slowly."""


class Pace:
    """
    Holds the client to the limits on how slowly a body may come.

    The rate counts the time that reads have waited, not what the application does in
    between. Each read must be one that returns as soon as there is something.

    Args:
        body: Seconds from the first read to the end, or None.
        rate: Bytes per second, or None.
        grace: Seconds of waiting before the rate counts.
    """

    __slots__ = ("body", "deadline", "got", "grace", "rate", "waited")

    def __init__(self, body: float | None, rate: float | None, grace: float) -> None:
        self.body = body
        self.rate = rate
        self.grace = grace
        self.got = 0
        self.waited = 0.0
        self.deadline: float | None = None

    def read(self, read: Any, size: int) -> bytes:
        """
        Return ``read(size)``. Switch point.

        Raises:
            BodyTimeout: If the client is too slow.
        """
        began = time.monotonic()
        left = None
        if self.rate is not None:
            allowed = self.grace + (self.got / self.rate if self.rate else 0.0)
            left = allowed - self.waited
        if self.body is not None:
            if self.deadline is None:
                self.deadline = began + self.body
            rest = self.deadline - began
            left = rest if left is None else min(left, rest)
        error = BodyTimeout("timed out: the client sends the body too slowly")
        with Timeout(None if left is None else max(0.0, left), error):
            data: bytes = read(size)
        self.waited += time.monotonic() - began
        self.got += len(data)
        return data
