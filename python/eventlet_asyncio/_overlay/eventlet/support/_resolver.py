"""
Name resolution by the system, in OS threads.

What needs no lookup, an address in digits, is answered at once.
"""

from __future__ import annotations

from typing import Any

from eventlet._patch.originals import original

_socket = original("socket")


def _offload(function: Any, *args: Any) -> Any:
    from eventlet import tpool

    return tpool.execute(function, *args)


def getaddrinfo(
    host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0
) -> list[Any]:
    """
    Return the addresses of `host`, as `socket.getaddrinfo`. Switch point for names.

    Raises:
        OSError: `socket.gaierror` if there are none.
    """
    if host is None or (isinstance(port, int) or port is None):
        try:
            return _socket.getaddrinfo(
                host, port, family, type, proto, flags | _socket.AI_NUMERICHOST
            )
        except _socket.gaierror:
            if host is None or flags & _socket.AI_NUMERICHOST:
                raise
    return _offload(_socket.getaddrinfo, host, port, family, type, proto, flags)


def gethostbyname(hostname: str) -> str:
    """
    Return the IPv4 address of `hostname`. Switch point for names.
    """
    if _is_ipv4(hostname):
        return hostname
    return _offload(_socket.gethostbyname, hostname)


def gethostbyname_ex(hostname: str) -> tuple[str, list[str], list[str]]:
    """
    Return the name, other names and IPv4 addresses of `hostname`. Switch point.
    """
    return _offload(_socket.gethostbyname_ex, hostname)


def gethostbyaddr(ip_address: str) -> tuple[str, list[str], list[str]]:
    """
    Return the name, other names and addresses of an address. Switch point.
    """
    return _offload(_socket.gethostbyaddr, ip_address)


def getnameinfo(sockaddr: Any, flags: int) -> tuple[str, str]:
    """
    Return the host and service of an address. Switch point unless both are numeric.
    """
    numeric = _socket.NI_NUMERICHOST | _socket.NI_NUMERICSERV
    if flags & numeric == numeric:
        return _socket.getnameinfo(sockaddr, flags)
    return _offload(_socket.getnameinfo, sockaddr, flags)


def _is_ipv4(host: Any) -> bool:
    try:
        _socket.inet_pton(_socket.AF_INET, host)
    except (OSError, TypeError, ValueError):
        return False
    return True
