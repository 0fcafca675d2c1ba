"""kazoo's eventlet handler: sessions, watches, locks, queues and elections."""

# server: zookeeper
# needs: kazoo

import eventlet

eventlet.monkey_patch()

import os

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError
from kazoo.handlers.eventlet import SequentialEventletHandler

from eventlet.queue import LightQueue

HOSTS = os.environ["APPS_ZOOKEEPER"]


def connect():
    client = KazooClient(HOSTS, handler=SequentialEventletHandler(), timeout=5)
    client.start(timeout=30)
    return client


def nodes(client):
    """Nodes, versions, transactions and asynchronous results."""
    client.ensure_path("/apps/nodes")
    assert client.create("/apps/nodes/a", b"1") == "/apps/nodes/a"
    assert client.get("/apps/nodes/a")[0] == b"1"
    results = [
        client.create_async(f"/apps/nodes/n{number}", str(number).encode())
        for number in range(100)
    ]
    assert [result.get(timeout=20) for result in results][99] == "/apps/nodes/n99"
    transaction = client.transaction()
    transaction.delete("/apps/nodes/a")
    transaction.create("/apps/nodes/b", b"2")
    transaction.commit()
    assert len(client.get_children("/apps/nodes")) == 101
    try:
        client.get("/apps/nodes/a")
    except NoNodeError:
        pass
    else:
        raise AssertionError


def watches(client, other):
    """What one client writes, the other one's watches hear in order."""
    heard = LightQueue()
    client.ensure_path("/apps/watched")

    @client.DataWatch("/apps/watched")
    def data(value, _stat):
        heard.put(value)

    @client.ChildrenWatch("/apps/watched")
    def children(names):
        heard.put(sorted(names))

    assert [heard.get(timeout=20), heard.get(timeout=20)] == [b"", []]
    other.set("/apps/watched", b"new")
    assert heard.get(timeout=20) == b"new"
    other.create("/apps/watched/child")
    assert heard.get(timeout=20) == ["child"]


def locks(clients):
    """A lock excludes green threads of several clients."""
    inside, order = [], []

    def work(client, name):
        with client.Lock("/apps/lock", name):
            inside.append(name)
            assert len(inside) == 1
            eventlet.sleep(0.01)
            inside.remove(name)
            order.append(name)

    pool = eventlet.GreenPool()
    for number in range(8):
        pool.spawn(work, clients[number % len(clients)], str(number))
    pool.waitall()
    assert len(order) == 8


def queue(client, other):
    """A queue in ZooKeeper hands over what another client puts."""
    source, sink = client.LockingQueue("/apps/queue"), other.LockingQueue("/apps/queue")

    def take():
        taken = []
        while len(taken) < 5:
            taken.append(sink.get(timeout=20))
            sink.consume()
        return taken

    taker = eventlet.spawn(take)
    for number in range(5):
        source.put(str(number).encode())
    assert taker.wait() == [b"0", b"1", b"2", b"3", b"4"]


def election(clients):
    """One leads at a time, and each that wants to comes to it."""
    led = []
    leaders = [
        eventlet.spawn(client.Election("/apps/election", str(n)).run, led.append, n)
        for n, client in enumerate(clients)
    ]
    for leader in leaders:
        leader.wait()
    assert sorted(led) == list(range(len(clients)))


def barrier(clients):
    """A double barrier lets all in at once."""
    entered = []

    def enter(client):
        gate = client.DoubleBarrier("/apps/barrier", len(clients))
        gate.enter()
        entered.append(1)
        gate.leave()

    list(eventlet.GreenPool().imap(enter, clients))
    assert len(entered) == len(clients)


clients = [connect() for _ in range(3)]
clients[0].delete("/apps", recursive=True)
nodes(clients[0])
watches(*clients[:2])
locks(clients)
queue(*clients[:2])
election(clients)
barrier(clients)
for client in clients:
    client.stop()
    client.close()
# A client can be started again.
clients[0].start(timeout=30)
assert clients[0].exists("/apps")
clients[0].stop()
print("pass")
