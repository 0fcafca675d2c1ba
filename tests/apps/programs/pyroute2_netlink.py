"""pyroute2 asks the kernel from green threads, beside others."""

# needs: pyroute2
# upstream: it runs event loops in green threads

import eventlet

eventlet.monkey_patch()

import socket

from pyroute2 import NDB, IPRoute
from pyroute2.netlink import NetlinkError


def ask(_):
    """Links, addresses, routes and rules, over a socket of its own."""
    with IPRoute() as route:
        (loopback,) = route.link_lookup(ifname="lo")
        link = route.get_links(loopback)[0]
        assert link.get("ifname") == "lo"
        addresses = [
            message.get("address")
            for message in route.get_addr(index=loopback, family=socket.AF_INET)
        ]
        assert "127.0.0.1" in addresses
        assert list(route.get_routes(family=socket.AF_INET, table=255))
        try:
            route.get_links(987654)
        except NetlinkError as refused:
            assert refused.code == 19
        else:
            raise AssertionError
    return loopback


ask(0)
eventlet.spawn(ask, 0).wait()
assert list(eventlet.GreenPool().imap(ask, range(8))) == [1] * 8
with NDB() as base:
    assert base.interfaces["lo"]["index"] == 1
print("pass")
