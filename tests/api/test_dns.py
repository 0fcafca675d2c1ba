"""
Name resolution by the system: equal to `socket`, argument for argument.

Names are those that the hosts file knows, so that no name server is asked.
"""

from __future__ import annotations

import socket
from unittest import mock

import pytest

import eventlet
from eventlet import patcher
from eventlet.green import socket as green_socket
from eventlet.support import _resolver

HOSTS = [
    *(
        "127.0.0.1",
        b"127.0.0.1",
        "127.1",
        "::1",
        b"::1",
        "fe80::1%lo",
        "::ffff:1.2.3.4",
    ),
    *("fe80::1%nosuch", "localhost", b"localhost", None, "", b""),
    *(b"127.0.0.1\0b", "a..b", "x" * 64 + ".y", "\udc80", 5, bytearray(b"::1")),
]
PORTS = [
    *(None, 0, 80, -1, 70_000, 2**31, 2**40, 2**70, True, 1.5),
    *("", "80", b"80", " 80", "http", b"http", "nosuch-service", "80\0x", "\udc80"),
]
FLAGS = [
    *("AI_PASSIVE", "AI_CANONNAME", "AI_NUMERICHOST", "AI_NUMERICSERV", "AI_V4MAPPED"),
    *("AI_ALL", "AI_ADDRCONFIG"),
]


# Not every hosts file has a name for these.
ASKED_ABOUT = ("<broadcast>", "255.255.255.255", "::ffff:1.2.3.4", "fe80::1%lo")


def outcome(function, *args, **kwargs):
    """Return what a call returns, or its exception, in a form that compares."""
    try:
        return repr(function(*args, **kwargs))
    except Exception as error:
        return type(error), error.args


def test_the_systems_resolver_is_the_default_without_dnspython():
    """Which functions `green.socket` offers depends on dnspython, as upstream."""
    if patcher.original("os").environ.get("EVENTLET_NO_GREENDNS") == "yes":
        assert green_socket.getaddrinfo is _resolver.getaddrinfo
    else:
        from eventlet.support import greendns

        try:
            import dns  # noqa: F401 - only whether it is there
        except ImportError:
            assert green_socket.getaddrinfo is _resolver.getaddrinfo
        else:
            assert green_socket.getaddrinfo is greendns.getaddrinfo


@pytest.mark.parametrize("host", HOSTS, ids=repr)
@pytest.mark.parametrize("family", [0, socket.AF_INET, socket.AF_INET6, 99])
def test_getaddrinfo_takes_hosts_as_socket_does(host, family):
    """Each host gives what `socket` gives, addresses and errors alike."""
    if family == socket.AF_INET6 and host in ("localhost", b"localhost"):
        pytest.skip("a name server may be asked")
    for flags in (0, *(getattr(socket, name) for name in FLAGS)):
        args = host, 80, family, socket.SOCK_STREAM, 0, flags
        expected = outcome(socket.getaddrinfo, *args)
        assert outcome(_resolver.getaddrinfo, *args) == expected


@pytest.mark.parametrize("port", PORTS, ids=repr)
@pytest.mark.parametrize("kind", [0, socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_getaddrinfo_takes_ports_as_socket_does(port, kind):
    """Each port gives what `socket` gives: numbers, services, none, and nonsense."""
    for host in ("127.0.0.1", "localhost", None):
        expected = outcome(socket.getaddrinfo, host, port, type=kind)
        assert outcome(_resolver.getaddrinfo, host, port, type=kind) == expected


def test_getaddrinfo_answers_with_members_of_enumerations():
    """Family and kind are what `socket.getaddrinfo` makes of the numbers."""
    family, kind, *_ = _resolver.getaddrinfo("127.0.0.1", 80, type=socket.SOCK_STREAM)[
        0
    ]
    assert type(family) is socket.AddressFamily
    assert type(kind) is socket.SocketKind


@pytest.mark.parametrize(
    "host", ["<broadcast>", "a\0b", "255.255.255.255", *HOSTS], ids=repr
)
@pytest.mark.parametrize("name", ["gethostbyname", "gethostbyname_ex", "gethostbyaddr"])
def test_host_functions_equal_those_of_socket(name, host):
    """Each host gives what `socket` gives."""
    if (name, host) == ("gethostbyname_ex", "<broadcast>"):
        pytest.skip("the error that socket raises is what an earlier call has left")
    if name == "gethostbyaddr" and host in ASKED_ABOUT:
        pytest.skip("a name server may be asked")
    expected = outcome(getattr(socket, name), host)
    assert outcome(getattr(_resolver, name), host) == expected


ADDRESSES = [
    *(("127.0.0.1", 80), ("::1", 80), ("::1", 80, 1, 1), ("127.0.0.1", 80, 1), 5, ()),
    *(("localhost", 80), ("127.0.0.1", "x"), (b"127.0.0.1", 80), ("::1", 80, 2**20)),
    *(("127.0.0.1", -1), ("127.0.0.1", 70_000), ("127.0.0.1",), ("a\0b", 80)),
    *(("::1", 1, 0, 0, 0), ("fe80::1%lo", 1, 0, 1), ["127.0.0.1", 80]),
]


@pytest.mark.parametrize("address", ADDRESSES, ids=repr)
@pytest.mark.parametrize("flags", [0, 1, 2, 3, 4, 8, 9, 16])
def test_getnameinfo_equals_that_of_socket(address, flags):
    """Each address gives what `socket` gives, whatever is asked for."""
    if len(address if isinstance(address, tuple) else ()) > 2:
        # With a scope a name server may be asked.
        flags |= socket.NI_NUMERICHOST
    expected = outcome(socket.getnameinfo, address, flags)
    assert outcome(_resolver.getnameinfo, address, flags) == expected


NOT_ASKED = [
    *("localhost", "LocalHost", b"localhost", "127.1", "1", "0x7f.1", "0177.1"),
    *("::1", "127.0.0.1", "::ffff:1.2.3.4", "fe80::1%lo", "", None, 5, 1.5),
    *("a..b", "x" * 64 + ".y", "lo calhost", "[::1]", "127.0.0.1 ", "\udc80"),
]


def differences(module, calls):
    """Return those calls that `module` answers otherwise than `socket`."""
    return [
        (name, args, ours, expected)
        for name, args in calls
        if (ours := outcome(getattr(module, name), *args))
        != (expected := outcome(getattr(socket, name), *args))
    ]


@pytest.mark.parametrize("module", ["greendns", "_resolver"])
def test_what_needs_no_name_server_is_what_socket_answers(module):
    """Names of the hosts file, numbers, and what is no name: with dnspython as well."""
    if module == "greendns":
        pytest.importorskip("dns")
        from eventlet.support import greendns as module
    else:
        module = _resolver
    flags = [0, *(getattr(socket, name) for name in FLAGS)]
    flags += [
        socket.AI_CANONNAME | socket.AI_ADDRCONFIG,
        socket.AI_V4MAPPED | socket.AI_ALL,
    ]
    kind = socket.SOCK_STREAM
    calls = [
        ("getaddrinfo", (host, 80, family, kind, 0, flag))
        for host in NOT_ASKED
        for family in (0, socket.AF_INET, 99)
        for flag in flags
    ]
    calls += [("getaddrinfo", ("localhost", port, socket.AF_INET)) for port in PORTS]
    calls += [
        (name, (host,))
        for host in NOT_ASKED
        for name in ("gethostbyname", "gethostbyname_ex")
        # What socket raises for it is what an earlier call has left.
        if (name, host) != ("gethostbyname_ex", "")
    ]
    calls += [
        ("getnameinfo", (address, flag))
        for address in (("127.0.0.1", 80), ("127.0.0.1", 70_000), ("127.0.0.1", "x"))
        for flag in (0, 1, 2, 3, 4, 8, 9, 16)
    ]
    assert len(calls) > 200
    assert differences(module, calls) == []


def test_addresses_in_digits_are_no_switch_point():
    """What needs no lookup is answered at once."""
    others = []
    green = eventlet.spawn(others.append, "ran")
    _resolver.getaddrinfo("127.0.0.1", 80)
    _resolver.getaddrinfo("::1", "80")
    _resolver.getaddrinfo(None, 80)
    _resolver.gethostbyname("127.0.0.1")
    _resolver.getnameinfo(
        ("127.0.0.1", 80), socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    )
    assert others == []
    _resolver.getaddrinfo("localhost", 80)
    assert others == ["ran"]
    green.wait()


def test_audit_hooks_hear_of_lookups(run_isolated):
    """They get the event that `socket` raises, and may refuse the lookup."""
    done = run_isolated(
        """
import sys
import eventlet
from eventlet.support import _resolver

heard = []

def hook(event, args):
    if event.startswith("socket.get"):
        heard.append((event, args))
        if args[0] == "forbidden":
            raise PermissionError(args[0])

sys.addaudithook(hook)
_resolver.getaddrinfo("127.0.0.1", 80)
_resolver.gethostbyname("127.0.0.1")
for call in (_resolver.gethostbyname, lambda name: _resolver.getaddrinfo(name, 80)):
    try:
        call("forbidden")
    except PermissionError:
        heard.append("refused")
for entry in heard:
    print(entry)
""",
        {"EVENTLET_HUB": "asyncio"},
    )
    assert done.stdout.splitlines() == [
        "('socket.getaddrinfo', ('127.0.0.1', 80, 0, 0, 0))",
        "('socket.gethostbyname', ('127.0.0.1',))",
        "('socket.gethostbyname', ('forbidden',))",
        "refused",
        "('socket.getaddrinfo', ('forbidden', 80, 0, 0, 0))",
        "refused",
    ]


def test_connecting_uses_the_resolver_that_the_module_has():
    """A test may put its own `getaddrinfo` into `green.socket`."""
    listener = eventlet.listen(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    answer = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]
    with mock.patch.object(green_socket, "getaddrinfo", return_value=answer) as asked:
        one = green_socket.create_connection(("somewhere", 1))
        two = green_socket.socket()
        two.connect(("somewhere", port))
    assert [call.args[0] for call in asked.call_args_list] == ["somewhere"] * 2
    for connected in (one, two, listener):
        connected.close()


def test_patched_socket_resolves_without_blocking(run_isolated):
    """After patching, `socket.getaddrinfo` is the green one, and mocks replace it."""
    done = run_isolated(
        """
import eventlet
eventlet.monkey_patch()
import socket
from unittest import mock
from eventlet.support import _resolver

assert socket.getaddrinfo is _resolver.getaddrinfo
assert socket.gethostbyname("localhost") == "127.0.0.1"
with mock.patch("socket.getaddrinfo", return_value=[]) as asked:
    assert socket.getaddrinfo("a", 1) == []
assert asked.call_args.args == ("a", 1)
print("pass")
""",
        {"EVENTLET_HUB": "asyncio", "EVENTLET_NO_GREENDNS": "yes"},
    )
    assert done.stdout == "pass\n"


def test_loop_getaddrinfo_stays_asyncios(run_isolated):
    """The loop resolves with the original function in its own executor."""
    done = run_isolated(
        """
import eventlet
eventlet.monkey_patch()
import asyncio
import socket
from eventlet import asyncio as green_asyncio
from eventlet.support import _resolver

def fail(*args, **kwargs):
    raise AssertionError

_resolver.getaddrinfo = socket.getaddrinfo = fail

async def main():
    loop = asyncio.get_running_loop()
    return await loop.getaddrinfo("localhost", 80, family=socket.AF_INET)

print(green_asyncio.spawn_for_awaitable(main()).wait()[0][4])
""",
        {"EVENTLET_HUB": "asyncio", "EVENTLET_NO_GREENDNS": "yes"},
    )
    assert done.stdout == "('127.0.0.1', 80)\n"
