"""
Name resolution on green sockets, by dnspython.

Name servers of the system's configuration are asked, by green sockets, for host names
that the hosts file does not list. All else (names and addresses of the hosts file,
numbers in every notation, what is no host name) is answered by the system's own
resolver, so that it is what `socket` answers. For other names the name service switch
is not consulted: where that matters, set `EVENTLET_NO_GREENDNS=yes`, and the system
resolves all names in OS threads.

Importing this module loads nothing and reads nothing; the first lookup, or the first
use of a class or of `dns` and `resolver`, does.
"""

from __future__ import annotations

import re
import sys
from types import ModuleType
from typing import Any

from eventlet._patch.originals import original
from eventlet.support import _resolver

_socket = original("socket")
_time = original("time")

__all__ = [  # noqa: F822 - some are made when they are asked for
    "DNS_QUERY_TIMEOUT",
    "EAI_EAGAIN_ERROR",
    "EAI_NODATA_ERROR",
    "EAI_NONAME_ERROR",
    "HOSTS_TTL",
    "HostsAnswer",
    "HostsResolver",
    "ResolverProxy",
    "getaddrinfo",
    "gethostbyname",
    "gethostbyname_ex",
    "getnameinfo",
    "resolve",
    "resolve_cname",
    "resolver",
]

DNS_QUERY_TIMEOUT = 10.0
HOSTS_TTL = 10.0

EAI_EAGAIN_ERROR = _socket.gaierror(_socket.EAI_AGAIN, "Lookup timed out")
EAI_NONAME_ERROR = _socket.gaierror(_socket.EAI_NONAME, "Name or service not known")
# Not every system tells a name without addresses from an unknown one.
EAI_NODATA_ERROR = _socket.gaierror(
    getattr(_socket, "EAI_NODATA", _socket.EAI_NONAME),
    "No address associated with hostname",
)

_LAZY = ("HostsAnswer", "HostsResolver", "ResolverProxy", "dns", "resolver")
_HOST_NAME = re.compile(
    r"(?=.{1,253}\.?\Z)([a-z0-9_-]{1,63}\.)*[a-z0-9_-]{1,63}\.?", re.IGNORECASE
)
# Others are refused by the system.
_FAMILIES = (_socket.AF_UNSPEC, _socket.AF_INET, _socket.AF_INET6)
_FLAGS = int(
    _socket.AI_PASSIVE
    | _socket.AI_CANONNAME
    | _socket.AI_NUMERICHOST
    | _socket.AI_NUMERICSERV
    | _socket.AI_V4MAPPED
    | _socket.AI_ALL
    | _socket.AI_ADDRCONFIG
)
_UNKNOWN = (EAI_EAGAIN_ERROR.errno, EAI_NONAME_ERROR.errno, EAI_NODATA_ERROR.errno)


def _socket_without_names() -> ModuleType:
    """
    Return a module `socket` with green sockets and the system's own `getaddrinfo`.

    Only addresses in digits are given to the latter, which does not block then.
    """
    from eventlet.greenio.base import GreenSocket

    module: Any = ModuleType("socket")
    vars(module).update(vars(_socket))
    module.socket = module.SocketType = GreenSocket
    return module


socket: Any = _socket_without_names()


def _load() -> None:
    names = globals()
    if "dns" in names:
        return
    from eventlet.support import _greendns

    for name in _LAZY:
        if name not in names and name != "resolver":
            names[name] = getattr(_greendns, name)
    if "resolver" not in names:
        names["resolver"] = names["ResolverProxy"](names["HostsResolver"]())


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        _load()
        return globals()[name]
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)


def _module() -> Any:
    """Return this module, loaded: what tests and applications replaced in it holds."""
    _load()
    return sys.modules[__name__]


def reset() -> None:
    """
    Forget the configuration and cached answers: it is read again at the next lookup.
    """
    _module().resolver.clear()


def is_ipv4_addr(host: Any) -> bool:
    """
    Say whether `host` is an IPv4 address in digits.
    """
    return _is_address(_socket.AF_INET, host)


def is_ipv6_addr(host: Any) -> bool:
    """
    Say whether `host` is an IPv6 address in digits, with or without a scope.
    """
    text = _text(host)
    return text is not None and _is_address(_socket.AF_INET6, text.partition("%")[0])


def is_ip_addr(host: Any) -> bool:
    """
    Say whether `host` is an address in digits.
    """
    return is_ipv4_addr(host) or is_ipv6_addr(host)


def _is_address(family: int, host: Any) -> bool:
    text = _text(host)
    if text is None:
        return False
    try:
        _socket.inet_pton(family, text)
    except (OSError, ValueError):
        return False
    return True


def _text(host: Any) -> str | None:
    if isinstance(host, (bytes, bytearray)):
        return host.decode("latin-1")
    return host if isinstance(host, str) else None


def compute_expiration(query: Any, timeout: float | None) -> float | None:
    """
    Return the time at which a query that starts now is given up.
    """
    return None if timeout is None else _time.time() + timeout


def _raise_new_error(error_instance: OSError) -> None:
    # The instances of this module would collect tracebacks.
    raise error_instance.__class__(*error_instance.args)


def resolve(
    name: Any,
    family: int = _socket.AF_INET,
    raises: bool = True,
    _proxy: Any = None,
    use_network: bool = True,
) -> Any:
    """
    Return the answer to a query for the addresses of `name`. Switch point.

    Args:
        family: The family of the addresses.
        raises: Whether it is an error if there are none.
        use_network: Whether to ask name servers, if the hosts file has no answer.

    Raises:
        OSError: `socket.gaierror` if the query fails.
    """
    green = _module()
    dns = green.dns
    if family == _socket.AF_INET:
        rdtype = dns.rdatatype.A
    elif family == _socket.AF_INET6:
        rdtype = dns.rdatatype.AAAA
    else:
        raise _socket.gaierror(_socket.EAI_FAMILY, "Address family not supported")
    proxy = green.resolver if _proxy is None else _proxy
    try:
        return proxy.query(
            name, rdtype, raise_on_no_answer=raises, use_network=use_network
        )
    except dns.resolver.NXDOMAIN:
        if raises:
            return _raise_new_error(EAI_NONAME_ERROR)
        return green.HostsAnswer(name, rdtype, dns.rdataclass.IN, None, False)
    except dns.exception.Timeout:
        return _raise_new_error(EAI_EAGAIN_ERROR)
    except dns.exception.DNSException:
        return _raise_new_error(EAI_NODATA_ERROR)


_own_resolve = resolve


def resolve_cname(host: Any) -> str:
    """
    Return the canonical name of `host`, itself if it has no other. Switch point.
    """
    green = _module()
    dns = green.dns
    try:
        answer = green.resolver.query(host, dns.rdatatype.CNAME)
    except dns.resolver.NoAnswer:
        return host
    except dns.exception.Timeout:
        _raise_new_error(EAI_EAGAIN_ERROR)
    except dns.exception.DNSException:
        _raise_new_error(EAI_NODATA_ERROR)
    return str(answer[0].target).rstrip(".")


def getaliases(host: Any) -> list[str]:
    """
    Return the other names of `host`. Switch point.
    """
    return _module().resolver.getaliases(host)


def _addresses(
    host: str, family: int, use_network: bool = True
) -> tuple[Any, list[str]]:
    answer = resolve(host, family, False, use_network=use_network)
    found = [record.address for record in answer.rrset] if answer.rrset else []
    if not found and getattr(answer, "response", None) is not None:
        # A server knows the name, without an address in this family.
        _raise_new_error(EAI_NODATA_ERROR)
    return answer.qname, found


def _lookup(host: str, family: int, flags: int) -> tuple[str, list[str]]:
    """
    Return the full name of `host` and its addresses.

    A host that the hosts file knows, in either family, is not looked up elsewhere.
    """
    if family == _socket.AF_UNSPEC:
        return _lookup_both(host)
    if family == _socket.AF_INET or not flags & _socket.AI_V4MAPPED:
        qname, found = _addresses(host, family)
        return str(qname), found
    return _lookup_mapped(host, flags)


def _lookup_mapped(host: str, flags: int) -> tuple[str, list[str]]:
    found: list[str] = []
    qname: Any = host
    try:
        qname, found = _addresses(host, _socket.AF_INET6)
    except _socket.gaierror as error:
        if error.errno != EAI_NODATA_ERROR.errno:
            raise
    if not found or flags & _socket.AI_ALL:
        try:
            qname, old = _addresses(host, _socket.AF_INET)
        except _socket.gaierror as error:
            if not found or error.errno != EAI_NODATA_ERROR.errno:
                raise
        else:
            found += [f"::ffff:{address}" for address in old]
    return str(qname), found


def _lookup_both(host: str) -> tuple[str, list[str]]:
    qname: Any = host
    found: list[str] = []
    failure = None
    for use_network in (False, True):
        for family in (_socket.AF_INET6, _socket.AF_INET):
            try:
                qname, some = _addresses(host, family, use_network)
            except _socket.gaierror as error:
                if error.errno not in _UNKNOWN:
                    raise
                failure = error
            else:
                found += some
        if found:
            break
    try:
        if failure is not None and not found:
            raise failure
    finally:
        failure = None  # it refers to this frame
    return str(qname), found


def _ascii(host: Any) -> Any:
    if isinstance(host, str):
        return host.encode("idna").decode("ascii")
    return host.decode("ascii") if isinstance(host, (bytes, bytearray)) else host


def _name_for_servers(host: Any) -> str | None:
    """Return the name to ask name servers about; None if the system can answer."""
    try:
        name = _ascii(host)
    except UnicodeError:
        return None
    if not isinstance(name, str) or _HOST_NAME.fullmatch(name) is None:
        return None
    try:
        _socket.inet_aton(name)
    except OSError:
        pass
    else:
        return None
    return None if _in_system_hosts(name) else name


def _in_system_hosts(name: str) -> bool:
    hosts = _hosts()
    return hosts is not None and hosts.is_system() and hosts.lists(name)


def _hosts() -> Any:
    """Return the reader of the hosts file; None if a program put in its own lookups."""
    green = _module()
    if green.resolve is not _own_resolve:
        return None
    hosts = getattr(green.resolver, "_hosts", None)
    return hosts if isinstance(hosts, green.HostsResolver) else None


def _canonical(name: str) -> str:
    hosts = _hosts()
    if hosts is not None and hosts.lists(name):
        return hosts.canonical(name)
    seen = {name}
    while (target := _module().resolve_cname(name)) not in seen:
        seen.add(target)
        name = target
    return name


def getaddrinfo(
    host: Any,
    port: Any,
    family: int = 0,
    type: int = 0,
    proto: int = 0,
    flags: int = 0,
) -> list[Any]:
    """
    Return the addresses of `host`, as `socket.getaddrinfo`. Switch point for names.

    Raises:
        OSError: `socket.gaierror` if there are none.
    """
    name = None
    if not flags & _socket.AI_NUMERICHOST and family in _FAMILIES:
        name = _name_for_servers(host)
    if name is None or flags & ~_FLAGS:
        return _resolver.getaddrinfo(host, port, family, type, proto, flags)
    if isinstance(port, (bytes, bytearray)):
        port = port.decode("ascii")
    qname, addresses = _lookup(name, family, flags)
    plain = (flags | _socket.AI_NUMERICHOST) & ~_socket.AI_CANONNAME
    infos: list[Any] = []
    failure: OSError | None = None
    for address in addresses:
        try:
            infos += socket.getaddrinfo(address, port, family, type, proto, plain)
        except OSError as error:
            # With AI_ADDRCONFIG, a family that this host has no address in.
            if not flags & _socket.AI_ADDRCONFIG:
                raise
            failure = error
    try:
        if not infos:
            if failure is not None:
                raise failure
            _raise_new_error(EAI_NONAME_ERROR)
    finally:
        failure = None  # it refers to this frame
    if flags & _socket.AI_CANONNAME:
        first = infos[0]
        infos[0] = (*first[:3], _canonical(qname.rstrip(".")), first[4])
    return infos


def gethostbyname(hostname: Any) -> str:
    """
    Return the IPv4 address of `hostname`. Switch point for names.
    """
    name = _name_for_servers(hostname)
    if name is None:
        return _resolver.gethostbyname(hostname)
    return resolve(name)[0].address


def gethostbyname_ex(hostname: Any) -> tuple[str, list[str], list[str]]:
    """
    Return the name, other names and IPv4 addresses of `hostname`. Switch point.
    """
    name = _name_for_servers(hostname)
    if name is None:
        return _resolver.gethostbyname_ex(hostname)
    green = _module()
    answer = green.resolve(name)
    addresses = [record.address for record in answer.rrset]
    # In the order in which they lead to each other.
    names = [str(answer.qname).rstrip("."), *green.getaliases(name)]
    hosts = _hosts()
    if hosts is not None and hosts.lists(name):
        canonical = hosts.canonical(name)
        return canonical, [other for other in names if other != canonical], addresses
    return names[-1], names[:-1], addresses


def getnameinfo(sockaddr: Any, flags: int) -> tuple[str, str]:
    """
    Return the host and service of an address. Switch point.

    Raises:
        OSError: `socket.gaierror` if the host has no name and `NI_NAMEREQD` is set.
        TypeError: If `sockaddr` is no tuple of an address and a port.
    """
    if not isinstance(sockaddr, tuple) or len(sockaddr) < 2:
        del sockaddr  # the traceback need not keep it
        message = "getnameinfo() argument 1 must be a tuple of an address and a port"
        raise TypeError(message)
    if flags & _socket.NI_NUMERICHOST or not is_ip_addr(sockaddr[0]):
        return _resolver.getnameinfo(sockaddr, flags)
    # Checks the address, and names the service, without leaving the machine.
    digits = flags & ~_socket.NI_NAMEREQD | _socket.NI_NUMERICHOST
    host, service = _resolver.getnameinfo(sockaddr, digits)
    if _in_system_hosts(host):
        return _resolver.getnameinfo(sockaddr, flags)
    green = _module()
    dns = green.dns
    try:
        reverse = dns.reversename.from_address(host.partition("%")[0])
        answer = green.resolver.query(reverse, dns.rdatatype.PTR)
    except (dns.exception.Timeout, dns.resolver.NoNameservers):
        if flags & _socket.NI_NAMEREQD:
            _raise_new_error(EAI_EAGAIN_ERROR)
    except dns.exception.DNSException:
        if flags & _socket.NI_NAMEREQD:
            _raise_new_error(EAI_NONAME_ERROR)
    else:
        host = str(answer[0].target).rstrip(".")
    return host, service


def udp(
    q: Any,
    where: str,
    timeout: float | None = DNS_QUERY_TIMEOUT,
    port: int = 53,
    af: int | None = None,
    source: str | None = None,
    source_port: int = 0,
    ignore_unexpected: bool = False,
    one_rr_per_rrset: bool = False,
    ignore_trailing: bool = False,
    raise_on_truncation: bool = False,
    sock: Any = None,
    ignore_errors: bool = False,
) -> Any:
    """
    Send the query `q` to the server `where` in a datagram; return the answer.

    Switch point.

    Args:
        af: The address family; by default that of `where`.

    Raises:
        dns.exception.Timeout: If there is no answer in time.
        dns.query.UnexpectedSource: If another host answers, unless `ignore_unexpected`.
    """
    options = {
        "ignore_unexpected": ignore_unexpected,
        "one_rr_per_rrset": one_rr_per_rrset,
        "ignore_trailing": ignore_trailing,
        "raise_on_truncation": raise_on_truncation,
        "ignore_errors": ignore_errors,
    }
    return _ask("udp", q, where, timeout, port, af, source, source_port, sock, options)


def tcp(
    q: Any,
    where: str,
    timeout: float | None = DNS_QUERY_TIMEOUT,
    port: int = 53,
    af: int | None = None,
    source: str | None = None,
    source_port: int = 0,
    one_rr_per_rrset: bool = False,
    ignore_trailing: bool = False,
    sock: Any = None,
) -> Any:
    """
    Send the query `q` to the server `where` over a connection; return the answer.

    Switch point.

    Args:
        af: The address family; by default that of `where`.

    Raises:
        dns.exception.Timeout: If there is no answer in time.
    """
    options = {
        "one_rr_per_rrset": one_rr_per_rrset,
        "ignore_trailing": ignore_trailing,
    }
    return _ask("tcp", q, where, timeout, port, af, source, source_port, sock, options)


def _ask(
    transport: str,
    q: Any,
    where: str,
    timeout: float | None,
    port: int,
    af: int | None,
    source: str | None,
    source_port: int,
    sock: Any,
    options: dict[str, Any],
) -> Any:
    dns = _module().dns
    from eventlet.support import _greendns

    if af is not None and af != dns.inet.af_for_address(where):
        message = f"{where} is no address of family {af}"
        raise ValueError(message)
    call = getattr(_greendns.transports, transport)
    try:
        return call(
            q,
            where,
            timeout=timeout,
            port=port,
            source=source,
            source_port=source_port,
            sock=sock,
            **{name: value for name, value in options.items() if value},
        )
    except TimeoutError:
        raise dns.exception.Timeout(timeout=timeout) from None
