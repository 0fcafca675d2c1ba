# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.support._resolver import (
    getaddrinfo as getaddrinfo,
    gethostbyaddr as gethostbyaddr,
    gethostbyname as gethostbyname,
    gethostbyname_ex as gethostbyname_ex,
    getnameinfo as getnameinfo,
)
