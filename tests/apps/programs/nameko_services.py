"""nameko: RPC, events, timers and HTTP, in workers that run side by side."""

# server: rabbitmq
# needs: nameko

import eventlet

eventlet.monkey_patch()

import os
import socket
import time
import urllib.request

from nameko.containers import ServiceContainer
from nameko.events import EventDispatcher, event_handler
from nameko.exceptions import RemoteError
from nameko.rpc import RpcProxy, rpc
from nameko.runners import ServiceRunner
from nameko.standalone.rpc import ClusterRpcProxy
from nameko.timer import timer
from nameko.web.handlers import http

with socket.socket() as probe:
    probe.bind(("127.0.0.1", 0))
    PORT = probe.getsockname()[1]
CONFIG = {
    "AMQP_URI": os.environ["APPS_RABBITMQ"],
    "WEB_SERVER_ADDRESS": f"127.0.0.1:{PORT}",
    "max_workers": 30,
}
ticks, heard = [], []


class Adder:
    """Answers."""

    name = "adder"

    @rpc
    def add(self, one, other):
        return one + other

    @rpc
    def late(self, number):
        eventlet.sleep(0.5)
        return number

    @rpc
    def fail(self):
        raise ZeroDivisionError("as asked")


class Front:
    """Asks, dispatches, ticks, and speaks HTTP."""

    name = "front"
    adder = RpcProxy("adder")
    dispatch = EventDispatcher()

    @rpc
    def add_many(self, numbers):
        total = 0
        for number in numbers:
            total = self.adder.add(total, number)
        self.dispatch("added", total)
        return total

    @timer(interval=0.05)
    def tick(self):
        ticks.append(time.monotonic())

    @http("GET", "/add/<int:one>/<int:other>")
    def over_http(self, request, one, other):
        return str(self.adder.add(one, other))


class Listener:
    """Hears of what others did."""

    name = "listener"

    @event_handler("front", "added")
    def added(self, total):
        heard.append(total)


runner = ServiceRunner(CONFIG)
for service in (Adder, Front, Listener):
    runner.add_service(service)
runner.start()
assert isinstance(next(iter(runner.containers)), ServiceContainer)

with ClusterRpcProxy(CONFIG, timeout=30) as cluster:
    assert cluster.adder.add(1, 2) == 3
    begin = time.monotonic()
    replies = [cluster.adder.late.call_async(number) for number in range(20)]
    assert [reply.result() for reply in replies] == list(range(20))
    assert time.monotonic() - begin < 8
    assert cluster.front.add_many(list(range(20))) == 190
    try:
        cluster.adder.fail()
    except RemoteError as raised:
        assert raised.exc_type == "ZeroDivisionError"
    else:
        raise AssertionError


def ask(number):
    url = f"http://127.0.0.1:{PORT}/add/{number}/1"
    with urllib.request.urlopen(url, timeout=30) as answer:
        return int(answer.read())


with eventlet.Timeout(30):
    assert list(eventlet.GreenPool().imap(ask, range(20))) == list(range(1, 21))
    while not heard or len(ticks) < 5:
        eventlet.sleep(0.01)
    assert heard == [190]
    runner.stop()
    runner.wait()
print("pass")
