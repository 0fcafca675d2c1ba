"""Name resolution by name servers, with dnspython: a server of our own answers."""

# ruff: noqa: D102 - the methods of the server say what it does

from __future__ import annotations

import contextlib
import socket as standard

import dns.flags
import dns.message
import dns.rdatatype
import dns.rrset
import pytest

import eventlet
from eventlet.green import socket
from eventlet.support import greendns

RECORDS = {
    ("there.test.", "A"): ["192.0.2.1", "192.0.2.2"],
    ("there.test.", "AAAA"): ["2001:db8::1"],
    ("old.test.", "A"): ["192.0.2.3"],
    ("alias.test.", "CNAME"): ["there.test."],
    ("nick.test.", "A"): ["192.0.2.1"],
    ("nick.test.", "CNAME"): ["alias.test."],
    ("1.2.0.192.in-addr.arpa.", "PTR"): ["there.test."],
}
MAPPED = standard.AI_V4MAPPED | standard.AI_ALL
HOSTS = "192.0.2.9 listed.test nickname.test\n"


class Server:
    """Answers from `RECORDS`, in the order of the questions or when told to."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]
        self.asked = []
        self.answering = eventlet.Event()
        self.answering.send()
        self.thread = eventlet.spawn(self.serve)

    def hold(self):
        self.answering = eventlet.Event()

    def serve(self):
        while True:
            data, address = self.sock.recvfrom(4096)
            query = dns.message.from_wire(data)
            question = query.question[0]
            kind = dns.rdatatype.to_text(question.rdtype)
            self.asked.append((str(question.name), kind))
            self.answering.wait()
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.RA
            found = RECORDS.get((str(question.name), kind))
            if found:
                answer.answer.append(
                    dns.rrset.from_text(question.name, 60, "IN", kind, *found)
                )
            elif not any(name == str(question.name) for name, _ in RECORDS):
                answer.set_rcode(3)
            self.sock.sendto(answer.to_wire(), address)

    def close(self):
        self.thread.kill()
        self.sock.close()


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Have all lookups ask a server of ours, and a hosts file of ours."""
    hosts = tmp_path / "hosts"
    hosts.write_text(HOSTS)
    serving = Server()
    proxy = greendns.ResolverProxy(greendns.HostsResolver(str(hosts)))
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers, resolver.port = ["127.0.0.1"], serving.port
    resolver.lifetime = resolver.timeout = 10
    proxy._resolver = resolver
    monkeypatch.setattr(greendns, "resolver", proxy)
    yield serving
    serving.close()


def addresses(found):
    return sorted({info[4][0] for info in found})


def test_addresses_of_both_families_come_from_the_server(server):
    found = greendns.getaddrinfo("there.test", 80, type=standard.SOCK_STREAM)
    assert addresses(found) == ["192.0.2.1", "192.0.2.2", "2001:db8::1"]
    assert {info[4][1] for info in found} == {80}
    assert addresses(greendns.getaddrinfo("there.test", 80, socket.AF_INET)) == [
        "192.0.2.1",
        "192.0.2.2",
    ]


def test_lookup_lets_other_green_threads_run(server):
    """The answer comes only when somebody else has let it."""
    server.hold()
    looking = eventlet.spawn(greendns.gethostbyname, "old.test")
    with eventlet.Timeout(10):
        while not server.asked:
            eventlet.sleep(0)
    assert not looking.dead
    server.answering.send()
    assert looking.wait() == "192.0.2.3"


@pytest.mark.parametrize("name", ["listed.test", "Nickname.test"])
def test_canonical_name_of_a_listed_host_is_the_first_of_its_line(server, name):
    """No name server is asked for what the hosts file says."""
    flags = socket.AI_CANONNAME
    (info,) = greendns.getaddrinfo(name, 80, type=standard.SOCK_STREAM, flags=flags)
    assert info[3:] == ("listed.test", ("192.0.2.9", 80))
    assert server.asked == []


def test_canonical_name_is_the_last_of_a_chain(server):
    """As the system has it, and so has `gethostbyname_ex`."""
    flags = socket.AI_CANONNAME
    found = greendns.getaddrinfo("nick.test", 80, socket.AF_INET, 1, 0, flags)
    assert found[0][3] == "there.test"
    assert greendns.gethostbyname_ex("nick.test") == (
        "there.test",
        ["nick.test", "alias.test"],
        ["192.0.2.1"],
    )


def test_name_without_an_address_in_a_family_is_no_unknown_name(server):
    """Each has its own error."""
    with pytest.raises(standard.gaierror) as known:
        greendns.getaddrinfo("old.test", 80, socket.AF_INET6)
    with pytest.raises(standard.gaierror) as unknown:
        greendns.getaddrinfo("nobody.test", 80, socket.AF_INET6)
    assert known.value.errno == standard.EAI_NODATA
    assert unknown.value.errno == standard.EAI_NONAME
    mapped = greendns.getaddrinfo("old.test", 80, socket.AF_INET6, 1, 0, MAPPED)
    assert [info[4][0] for info in mapped] == ["::ffff:192.0.2.3"]


def test_hosts_file_comes_first(server):
    assert greendns.gethostbyname("listed.test") == "192.0.2.9"
    assert addresses(greendns.getaddrinfo("listed.test", 1)) == ["192.0.2.9"]
    assert server.asked == []
    found = greendns.gethostbyname_ex("nickname.test")
    assert found == ("listed.test", ["nickname.test"], ["192.0.2.9"])
    # For other names only.
    assert server.asked == [("nickname.test.", "CNAME")]


def test_unknown_name_is_the_standard_error(server):
    for call in (
        lambda: greendns.getaddrinfo("missing.test", 80),
        lambda: greendns.gethostbyname("missing.test"),
    ):
        with pytest.raises(standard.gaierror) as failed:
            call()
        assert failed.value.errno == standard.EAI_NONAME
    # Each a new one: it would collect tracebacks.
    assert failed.value is not greendns.EAI_NONAME_ERROR


def test_server_that_does_not_answer_is_the_standard_error(server):
    server.hold()
    greendns.resolver._resolver.lifetime = 0.05
    with pytest.raises(standard.gaierror) as failed:
        greendns.gethostbyname("there.test")
    assert failed.value.errno == standard.EAI_AGAIN


def test_address_is_named_by_the_server(server):
    assert greendns.getnameinfo(("192.0.2.1", 80), standard.NI_NUMERICSERV) == (
        "there.test",
        "80",
    )
    numeric = standard.NI_NUMERICHOST | standard.NI_NUMERICSERV
    assert greendns.getnameinfo(("192.0.2.1", 80), numeric) == ("192.0.2.1", "80")


def test_alias_is_resolved_to_its_name(server):
    assert greendns.resolve_cname("alias.test") == "there.test"


def test_green_sockets_connect_by_name(server):
    """`green.socket` asks `greendns` where dnspython is installed."""
    RECORDS["here.test.", "A"] = ["127.0.0.1"]
    listener = eventlet.listen(("127.0.0.1", 0))
    try:
        port = listener.getsockname()[1]
        with contextlib.closing(socket.create_connection(("here.test", port))) as one:
            assert one.getpeername() == ("127.0.0.1", port)
        assert ("here.test.", "A") in server.asked
    finally:
        listener.close()
        del RECORDS["here.test.", "A"]


WATCH = """
import sys
opened = []

def hook(event, args):
    if event == "open" and str(args[0]).startswith("/etc/"):
        opened.append(args[0])

sys.addaudithook(hook)
import eventlet
{patch}
from eventlet.green import socket, ssl, urllib
from eventlet.green.urllib import request
from eventlet.support import greendns
dnspython = [n for n in sys.modules if n == "dns" or n.startswith("dns.")]
print(opened, dnspython)
socket.getaddrinfo("localhost", 80)
print("/etc/hosts" in opened, "dns.resolver" in sys.modules)
"""


@pytest.mark.parametrize(
    ("variable", "value", "dnspython"),
    [
        ("EVENTLET_NO_GREENDNS", "no", True),
        ("EVENTLET_NO_GREENDNS", "yes", False),
        ("EVENTLET_NO_GREENDNS", "YES", False),
        ("EVENTLET_TPOOL_DNS", "yes", False),
    ],
)
@pytest.mark.parametrize("patch", ["", "eventlet.monkey_patch()"], ids=["", "patched"])
def test_nothing_is_read_and_no_dnspython_loaded_at_import(
    run_isolated, variable, value, dnspython, patch
):
    """The first lookup reads the configuration, and loads dnspython if it is used at all."""
    env = {"EVENTLET_HUB": "asyncio", variable: value}
    lines = run_isolated(WATCH.format(patch=patch), env).stdout.splitlines()
    assert lines[0] == "[] []"
    assert lines[1].split()[1] == str(dnspython)


def test_resolver_is_chosen_when_the_module_is_imported(run_isolated):
    """By the variable, as upstream does."""
    code = "from eventlet.green import socket; print(socket.getaddrinfo.__module__)"
    chosen = {
        value: run_isolated(
            code, {"EVENTLET_HUB": "asyncio", "EVENTLET_NO_GREENDNS": value}
        ).stdout.strip()
        for value in ("", "no", "yes")
    }
    assert chosen[""] == chosen["no"] == "eventlet.support.greendns"
    assert chosen["yes"] == "eventlet_asyncio._core" or "_resolver" in chosen["yes"]
