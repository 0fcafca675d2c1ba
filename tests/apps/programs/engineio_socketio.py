"""python-engineio and python-socketio: polling, websocket, rooms, acknowledgements, many clients."""

# server: redis
# needs: python-socketio python-engineio websocket-client requests redis
# upstream: a polling client waits for its end in vain

import eventlet

eventlet.monkey_patch()

import io
import os

import engineio
import socketio

from eventlet import wsgi

TRANSPORTS = (["polling"], ["websocket"], ["polling", "websocket"])
LARGE = os.urandom(300_000)


def serve(application):
    listener = eventlet.listen(("127.0.0.1", 0))
    eventlet.spawn(wsgi.server, listener, application, log=io.StringIO())
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def over_engineio():
    """Messages of both kinds, in order, over each transport; both sides may close."""
    server = engineio.Server(async_mode="eventlet", max_http_buffer_size=1_000_000)
    gone = eventlet.Queue()

    @server.on("message")
    def message(sid, data):
        server.send(sid, data)
        if data == "close":
            server.disconnect(sid)

    @server.on("disconnect")
    def disconnect(sid, *reason):
        gone.put(sid)

    root = serve(engineio.WSGIApp(server))
    for transports in TRANSPORTS:
        got = eventlet.Queue()
        client = engineio.Client()
        client.on("message", got.put)
        client.connect(root, transports=transports)
        for turn in range(5):
            # One payload of a poll may hold sixteen.
            texts = [f"text {turn} {number}" for number in range(10)]
            for text in texts:
                client.send(text)
            assert [got.get(timeout=20) for _ in texts] == texts
        client.send(LARGE)
        assert got.get(timeout=20) == LARGE
        if len(transports) == 2:
            with eventlet.Timeout(20):
                while client.transport() != "websocket":
                    eventlet.sleep(0.01)
        client.send("close")
        gone.get(timeout=20)
        client.wait()


def application(server):
    @server.event
    def connect(sid, environ, auth):
        server.save_session(sid, auth or {})
        if auth == {"name": "nobody"}:
            raise socketio.exceptions.ConnectionRefusedError("no")

    @server.event
    def echo(sid, *data):
        return data

    @server.event
    def join(sid, room):
        server.enter_room(sid, room)

    @server.event
    def tell(sid, room, data):
        eventlet.sleep(0.01)
        name = server.get_session(sid)["name"]
        server.emit("told", (name, data), to=room)

    @server.event
    def fail(sid):
        return server.call("question", "how", to=sid, timeout=20)

    return serve(socketio.WSGIApp(server))


def connected(root, name, transports):
    client = socketio.Client(reconnection=False)
    client.heard = eventlet.Queue()
    client.on("told", lambda *data: client.heard.put(data))
    client.on("question", lambda data: f"{name} {data}")
    client.connect(root, auth={"name": name}, transports=transports, wait_timeout=20)
    return client


def over_socketio():
    """Calls, binary data, rooms across two servers that share Redis, refused clients."""
    url = os.environ["APPS_REDIS"]
    channel = f"apps{os.getpid()}"
    roots = [
        application(
            socketio.Server(
                async_mode="eventlet",
                client_manager=socketio.RedisManager(url, channel=channel),
            )
        )
        for _ in range(2)
    ]
    clients = [
        connected(roots[number % 2], f"client {number}", TRANSPORTS[number % 3])
        for number in range(12)
    ]
    for client in clients:
        both = ("text", {"of": [1, 2]})
        assert tuple(client.call("echo", both, timeout=20)) == both
        assert client.call("echo", LARGE[:1000], timeout=20) == LARGE[:1000]
        client.call("join", "all", timeout=20)
    clients[0].emit("tell", ("all", "hello"))
    for client in clients:
        assert client.heard.get(timeout=20) == ("client 0", "hello")
    for number, client in enumerate(clients):
        client.emit("tell", ("all", number))
    for client in clients:
        told = [client.heard.get(timeout=20) for _ in clients]
        assert sorted(number for _, number in told) == list(range(12))
    assert clients[5].call("fail", timeout=20) == "client 5 how"
    # From outside of any server.
    writer = socketio.RedisManager(url, channel=channel, write_only=True)
    writer.emit("told", ("outside", "it"), room="all")
    for client in clients:
        assert client.heard.get(timeout=20) == ("outside", "it")
    try:
        connected(roots[0], "nobody", ["polling"])
    except socketio.exceptions.ConnectionError:
        pass
    else:
        raise AssertionError
    for client in clients:
        client.disconnect()


over_engineio()
over_socketio()
print("pass")
