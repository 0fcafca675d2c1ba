"""
Name resolution by the system, in OS threads of the native engine.

The functions take, return and raise what those of `socket` do. They are switch points
unless the answer is known at once, as that of an address in digits is. A green thread
may be killed during a lookup, or a Timeout end it: the lookup goes on for nobody, or is
never begun if it still waited for its turn.
"""

from __future__ import annotations

from eventlet_asyncio._core import (
    getaddrinfo,
    gethostbyaddr,
    gethostbyname,
    gethostbyname_ex,
    getnameinfo,
)

__all__ = [
    "getaddrinfo",
    "gethostbyaddr",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
]
