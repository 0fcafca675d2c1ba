"""eventlet.green.zmq: each kind of pair, many green threads on one socket, polling."""

# needs: pyzmq

import eventlet
from eventlet.green import zmq

context = zmq.Context()


def bound(kind):
    socket = context.socket(kind)
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    return socket, f"tcp://127.0.0.1:{port}"


def connected(kind, address):
    socket = context.socket(kind)
    socket.connect(address)
    return socket


def requests():
    """A server in one green thread answers many clients."""
    server, address = bound(zmq.REP)

    def serve():
        for _ in range(500):
            server.send(server.recv()[::-1])

    def ask(number):
        client = connected(zmq.REQ, address)
        for turn in range(50):
            client.send(f"{number}:{turn}".encode())
            assert client.recv() == f"{number}:{turn}".encode()[::-1]
        client.close()

    serving = eventlet.spawn(serve)
    list(eventlet.GreenPool().imap(ask, range(10)))
    serving.wait()
    server.close()


def pipeline():
    """A pusher that fills its buffers waits for the puller, and loses nothing."""
    sink = context.socket(zmq.PULL)
    sink.set_hwm(10)
    address = f"tcp://127.0.0.1:{sink.bind_to_random_port('tcp://127.0.0.1')}"
    source = context.socket(zmq.PUSH)
    source.set_hwm(10)
    source.connect(address)

    def push():
        for number in range(2000):
            source.send_multipart([b"head", str(number).encode()])

    pusher = eventlet.spawn(push)
    got = [int(sink.recv_multipart()[1]) for _ in range(2000)]
    pusher.wait()
    assert got == list(range(2000))
    source.close()
    sink.close()


def subscriptions():
    """A subscriber gets its own topics."""
    publisher, address = bound(zmq.XPUB)
    subscriber = connected(zmq.SUB, address)
    subscriber.setsockopt(zmq.SUBSCRIBE, b"a")
    assert publisher.recv() == b"\x01a"
    for number in range(100):
        publisher.send(b"b%d" % number)
        publisher.send(b"a%d" % number)
    assert [subscriber.recv() for _ in range(100)] == [b"a%d" % n for n in range(100)]
    publisher.close()
    subscriber.close()


def polling():
    """A poller that does not wait says which sockets have something."""
    one, _ = bound(zmq.PULL)
    two, address = bound(zmq.PULL)
    poller = zmq.Poller()
    poller.register(one, zmq.POLLIN)
    poller.register(two, zmq.POLLIN)
    assert poller.poll(0) == []
    sender = connected(zmq.PUSH, address)
    sender.send(b"x")
    assert two.recv() == b"x"
    sender.send_multipart([b"y", b"z"])
    assert two.recv() == b"y"
    assert poller.poll(0) == [(two, zmq.POLLIN)]
    assert two.recv() == b"z"
    for socket in (one, two, sender):
        socket.close()


def timeouts():
    """RCVTIMEO and Timeout both end a wait."""
    socket, _ = bound(zmq.PULL)
    socket.setsockopt(zmq.RCVTIMEO, 50)
    try:
        socket.recv()
    except zmq.Again:
        pass
    else:
        raise AssertionError
    socket.setsockopt(zmq.RCVTIMEO, -1)
    with eventlet.Timeout(0.05, False):
        socket.recv()
        raise AssertionError
    socket.close()


requests()
pipeline()
subscriptions()
polling()
timeouts()
context.term()
print("pass")
