"""
The part of `eventlet.support.greendns` that needs dnspython.

dnspython's modules are used as they are, but their sockets, selectors and clocks are
exchanged for green ones: what a resolver does then lets other green threads run,
whoever calls it.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import dns
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.CNAME
import dns.rdtypes.IN.A
import dns.rdtypes.IN.AAAA
import dns.resolver
import dns.reversename
import dns.rrset

from eventlet._patch.originals import original
from eventlet._patch.plan import GREEN_MODULES, green_module
from eventlet.support import greendns

_time = original("time")
_A: Any = dns.rdtypes.IN.A.A
_AAAA: Any = dns.rdtypes.IN.AAAA.AAAA
_CNAME: Any = dns.rdtypes.ANY.CNAME.CNAME
_STANDARD_QUERY = dns.resolver.Resolver.query


def _green_dnspython() -> None:
    """Bind what dnspython has loaded to green modules."""
    from eventlet.greenio.base import GreenSocket

    greens: dict[int, Any] = {
        id(sys.modules[name]): name
        for name in ("select", "selectors", "time")
        if name in sys.modules and name in GREEN_MODULES
    }
    real_sockets = (sys.modules["socket"].socket, original("socket").socket)
    for name, module in list(sys.modules.items()):
        if name != "dns" and not name.startswith("dns."):
            continue
        for attribute, value in list(vars(module).items()):
            if id(value) in greens:
                setattr(module, attribute, green_module(greens[id(value)]))
            elif value is sys.modules["socket"]:
                setattr(module, attribute, greendns.socket)
            elif isinstance(value, type) and value in real_sockets:
                setattr(module, attribute, GreenSocket)


_green_dnspython()


class _Transports:
    """dnspython's own functions: what replaces them in `dns.query` may call ours."""

    udp = staticmethod(dns.query.udp)
    tcp = staticmethod(dns.query.tcp)


transports = _Transports()


class HostsAnswer(dns.resolver.Answer):
    """An answer that no name server gave."""

    def __init__(
        self,
        qname: Any,
        rdtype: Any,
        rdclass: Any,
        rrset: Any,
        raise_on_no_answer: bool = True,
    ) -> None:
        """
        Make the answer.

        Raises:
            NoAnswer: If `rrset` is empty, unless `raise_on_no_answer` is false.
        """
        self.response: Any = None
        self.qname = qname
        self.rdtype = rdtype
        self.rdclass = rdclass
        self.canonical_name = qname
        if not rrset and raise_on_no_answer:
            raise dns.resolver.NoAnswer
        self.rrset: Any = rrset
        self.expiration = _time.time() + getattr(rrset, "ttl", 0)

    def __iter__(self) -> Any:
        return iter(self.rrset or ())

    def __len__(self) -> int:
        return len(self.rrset or ())

    def __getitem__(self, i: Any) -> Any:
        return (self.rrset or ())[i]


class HostsResolver:
    """
    Answers queries from the hosts file.

    Args:
        fname: The file; the system's by default.
        interval: Seconds between two looks whether the file has changed.
    """

    LINES_RE = re.compile(r"[ \t]*([^\r\n#]*[^\s#])[^\r\n]*(?:\r\n|\r|\n|\Z)")

    def __init__(self, fname: str | None = None, interval: float = greendns.HOSTS_TTL):
        self.fname = fname or _system_hosts()
        self.interval = interval
        self._v4: dict[str, str] = {}
        self._v6: dict[str, str] = {}
        self._aliases: dict[str, str] = {}
        self._addresses: set[str] = set()
        self._last_stat = 0.0
        self._seen: Any = None
        self._load()

    def _readlines(self) -> list[str]:
        """Return the lines of the file that say something; none if it is missing."""
        try:
            text = Path(self.fname).read_bytes().decode("utf-8", "replace")
        except OSError:
            return []
        stripped = (
            line.split("#", 1)[0].strip() for line in re.split(r"\r\n|\r|\n", text)
        )
        return [line for line in stripped if line]

    def _load(self) -> None:
        """Read the file."""
        self._last_stat = _time.time()
        self._seen = self._state()
        self._v4, self._v6, self._aliases, self._addresses = {}, {}, {}, set()
        for line in self._readlines():
            address, *names = line.split()
            if not names:
                continue
            self._addresses.add(address.lower())
            if greendns.is_ipv4_addr(address):
                table = self._v4
            elif greendns.is_ipv6_addr(address) and not _is_link_local(address):
                table = self._v6
            else:
                continue
            names = [name.lower() for name in names]
            for name in names:
                table.setdefault(name, address)
            for alias in names[1:]:
                self._aliases.setdefault(alias, names[0])

    def is_system(self) -> bool:
        """
        Say whether the file is the one that the system's own resolver reads.
        """
        return self.fname == _system_hosts()

    def lists(self, name: str) -> bool:
        """
        Say whether the file has an entry for a name or an address.
        """
        self._refresh()
        key = name.rstrip(".").lower()
        return key in self._v4 or key in self._v6 or key in self._addresses

    def canonical(self, name: str) -> str:
        """
        Return the first name of the line that has `name`, itself if there is none.
        """
        self._refresh()
        key = name.rstrip(".").lower()
        return self._aliases.get(key, key)

    def _state(self) -> Any:
        try:
            info = Path(self.fname).stat()
        except OSError:
            return None
        return info.st_mtime_ns, info.st_size, info.st_ino

    def _refresh(self) -> None:
        now = _time.time()
        if now > self._last_stat + self.interval:
            self._last_stat = now
            if self._state() != self._seen:
                self._load()

    def query(
        self,
        qname: Any,
        rdtype: Any = dns.rdatatype.A,
        rdclass: Any = dns.rdataclass.IN,
        tcp: bool = False,
        source: Any = None,
        raise_on_no_answer: bool = True,
    ) -> HostsAnswer:
        """
        Answer the query from the file.

        Raises:
            NoAnswer: If the file says nothing about it, unless `raise_on_no_answer` is
                false.
        """
        self._refresh()
        name = _name(qname)
        key = name.to_text(omit_final_dot=True).lower()
        rrset = dns.rrset.RRset(name, rdclass, rdtype)
        record = self._record(key, rdtype, rdclass)
        if record is not None:
            rrset.add(record, int(greendns.HOSTS_TTL))
        absolute = name.derelativize(dns.name.root)
        return HostsAnswer(absolute, rdtype, rdclass, rrset, raise_on_no_answer)

    def _record(self, key: str, rdtype: Any, rdclass: Any) -> Any:
        if rdclass != dns.rdataclass.IN:
            return None
        if rdtype == dns.rdatatype.A and key in self._v4:
            return _A(rdclass, rdtype, self._v4[key])
        if rdtype == dns.rdatatype.AAAA and key in self._v6:
            address = self._v6[key].partition("%")[0]
            return _AAAA(rdclass, rdtype, address)
        if rdtype == dns.rdatatype.CNAME and key in self._aliases:
            target = dns.name.from_text(self._aliases[key])
            return _CNAME(rdclass, rdtype, target)
        return None

    def getaliases(self, hostname: Any) -> list[str]:
        """
        Return the other names that the file has for `hostname`.
        """
        self._refresh()
        key = str(hostname).rstrip(".").lower()
        canonical = self._aliases.get(key, key)
        group = [alias for alias, name in self._aliases.items() if name == canonical]
        names = [canonical, *group] if group else []
        return [name for name in names if name != key]


def _system_hosts() -> str:
    if os.name == "nt":
        root = os.environ.get("SystemRoot", r"C:\Windows")  # noqa: SIM112 - its name
        return root + r"\system32\drivers\etc\hosts"
    return "/etc/hosts"


def _is_link_local(address: str) -> bool:
    # Means nothing without a scope, which the file cannot give.
    return address.lower().startswith("fe80")


def _name(qname: Any) -> Any:
    if isinstance(qname, (bytes, bytearray)):
        qname = qname.decode("ascii")
    return dns.name.from_text(qname, None) if isinstance(qname, str) else qname


class ResolverProxy:
    """
    Answers queries from the hosts file, or else by a resolver that is made when needed.

    Args:
        hosts_resolver: Answers first; None for name servers only.
        filename: The resolver's configuration; None for one without any.
    """

    def __init__(
        self, hosts_resolver: Any = None, filename: str | None = "/etc/resolv.conf"
    ) -> None:
        self._hosts = hosts_resolver
        self._filename = filename
        self._cached_resolver: Any = None

    @property
    def _resolver(self) -> Any:
        if self._cached_resolver is None:
            self._cached_resolver = self._new_resolver()
        return self._cached_resolver

    @_resolver.setter
    def _resolver(self, resolver: Any) -> None:
        self._cached_resolver = resolver

    def _new_resolver(self) -> Any:
        if self._filename is None:
            new = dns.resolver.Resolver(configure=False)
        else:
            new = dns.resolver.Resolver(filename=self._filename)
        new.cache = dns.resolver.LRUCache()
        return new

    def clear(self) -> None:
        """
        Forget the configuration and cached answers.
        """
        self._cached_resolver = None

    def query(
        self,
        qname: Any,
        rdtype: Any = dns.rdatatype.A,
        rdclass: Any = dns.rdataclass.IN,
        tcp: bool = False,
        source: Any = None,
        raise_on_no_answer: bool = True,
        _hosts_rdtypes: tuple[Any, ...] = (dns.rdatatype.A, dns.rdatatype.AAAA),
        use_network: bool = True,
    ) -> Any:
        """
        Answer the query, from the hosts file if that can. Switch point.

        Raises:
            NoAnswer: If there is no such record, unless `raise_on_no_answer` is false.
            NXDOMAIN: If there is no such name.
        """
        name = _name(qname)
        in_file = rdclass == dns.rdataclass.IN and rdtype in _hosts_rdtypes
        if in_file and self._hosts is not None:
            try:
                answer = self._hosts.query(name, rdtype, raise_on_no_answer=False)
            except dns.resolver.NoAnswer:
                answer = None
            if answer is not None and answer.rrset:
                return answer
        if not use_network:
            return HostsAnswer(name, rdtype, rdclass, None, raise_on_no_answer)
        try:
            return self._ask(name, rdtype, rdclass, tcp, source, raise_on_no_answer)
        except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
            # The resolver has tried its search list; the name may be a top level one.
            if name.is_absolute() or len(name) != 1:
                raise
        top = name.derelativize(dns.name.root)
        return self._ask(top, rdtype, rdclass, tcp, source, raise_on_no_answer)

    def _ask(
        self,
        name: Any,
        rdtype: Any,
        rdclass: Any,
        tcp: bool,
        source: Any,
        raise_on_no_answer: bool,
    ) -> Any:
        resolver = self._resolver
        arguments = (name, rdtype, rdclass, tcp, source, raise_on_no_answer)
        # Since dnspython 2.0 `query` only warns and calls `resolve`.
        if getattr(resolver.query, "__func__", None) is _STANDARD_QUERY and hasattr(
            resolver, "resolve"
        ):
            return resolver.resolve(*arguments, search=True)
        return resolver.query(*arguments)

    def getaliases(self, hostname: Any) -> list[str]:
        """
        Return the other names of `hostname`: from the file, and the names it leads to.

        Switch point.
        """
        aliases = [] if self._hosts is None else list(self._hosts.getaliases(hostname))
        name = hostname
        seen = {str(name)}
        while True:
            try:
                answer = self._ask(
                    _name(name),
                    dns.rdatatype.CNAME,
                    dns.rdataclass.IN,
                    tcp=False,
                    source=None,
                    raise_on_no_answer=True,
                )
            except (dns.resolver.NoAnswer, dns.resolver.NXDOMAIN):
                return aliases
            aliases += [str(record.target).rstrip(".") for record in answer.rrset]
            name = answer[0].target
            if str(name) in seen:  # names that lead back to each other
                return aliases
            seen.add(str(name))
