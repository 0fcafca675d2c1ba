# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.socket import (
    SocketType as SocketType,
    create_connection as create_connection,
    create_server as create_server,
    fromfd as fromfd,
    getaddrinfo as getaddrinfo,
    getfqdn as getfqdn,
    gethostbyname as gethostbyname,
    gethostbyname_ex as gethostbyname_ex,
    getnameinfo as getnameinfo,
    socket as socket,
    socketpair as socketpair,
)
from socket import *
from eventlet_asyncio._overlay.eventlet.green.socket import (
    SocketType as SocketType,
    create_connection as create_connection,
    create_server as create_server,
    fromfd as fromfd,
    getaddrinfo as getaddrinfo,
    getfqdn as getfqdn,
    gethostbyname as gethostbyname,
    gethostbyname_ex as gethostbyname_ex,
    getnameinfo as getnameinfo,
    socket as socket,
    socketpair as socketpair,
)
