# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.support.greendns import (
    DNS_QUERY_TIMEOUT as DNS_QUERY_TIMEOUT,
    EAI_EAGAIN_ERROR as EAI_EAGAIN_ERROR,
    EAI_NODATA_ERROR as EAI_NODATA_ERROR,
    EAI_NONAME_ERROR as EAI_NONAME_ERROR,
    HOSTS_TTL as HOSTS_TTL,
    compute_expiration as compute_expiration,
    getaddrinfo as getaddrinfo,
    getaliases as getaliases,
    gethostbyname as gethostbyname,
    gethostbyname_ex as gethostbyname_ex,
    getnameinfo as getnameinfo,
    is_ip_addr as is_ip_addr,
    is_ipv4_addr as is_ipv4_addr,
    is_ipv6_addr as is_ipv6_addr,
    original as original,
    reset as reset,
    resolve as resolve,
    resolve_cname as resolve_cname,
    socket as socket,
    tcp as tcp,
    udp as udp,
)
from typing import Any
def __getattr__(name: str) -> Any: ...
