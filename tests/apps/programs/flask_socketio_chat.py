"""Flask-SocketIO with its eventlet server: polling and websocket, background tasks, sessions."""

# needs: Flask-SocketIO websocket-client requests

import eventlet

eventlet.monkey_patch()

import flask
import flask_socketio
import requests
import socketio

app = flask.Flask("chat")
app.config["SECRET_KEY"] = "apps"
server = flask_socketio.SocketIO(app, cors_allowed_origins="*")
assert server.async_mode == "eventlet"


@app.get("/")
def index():
    flask.session["name"] = "someone"
    return "index"


@server.on("connect")
def connect():
    flask_socketio.emit("welcome", flask.session.get("name"))


@server.on("join")
def join(room):
    flask_socketio.join_room(room)
    flask_socketio.send(f"joined {room}", to=room)
    return "ok"


@server.on("count")
def count(limit):
    server.start_background_task(counting, flask.request.sid, limit)


def counting(sid, limit):
    for number in range(limit):
        server.sleep(0.001)
        server.emit("number", number, to=sid)


@server.on("fail")
def fail():
    raise ZeroDivisionError


@server.on_error_default
def on_error(error):
    flask_socketio.emit("failed", type(error).__name__)


with eventlet.listen(("127.0.0.1", 0)) as probe:
    port = probe.getsockname()[1]
running = eventlet.spawn(server.run, app, host="127.0.0.1", port=port)
root = f"http://127.0.0.1:{port}"
with eventlet.Timeout(20), requests.Session() as session:
    while True:
        try:
            assert session.get(root, timeout=5).text == "index"
            break
        except requests.ConnectionError:
            eventlet.sleep(0.01)
    cookie = "; ".join(f"{one.name}={one.value}" for one in session.cookies)

for transport in ("polling", "websocket"):
    clients = []
    for _ in range(5):
        client = socketio.Client(reconnection=False)
        client.heard = eventlet.Queue()
        for name in ("welcome", "message", "number", "failed"):
            client.on(name, lambda data, n=name, c=client: c.heard.put((n, data)))
        client.connect(root, headers={"Cookie": cookie}, transports=[transport])
        assert client.heard.get(timeout=20) == ("welcome", "someone")
        clients.append(client)
    for number, client in enumerate(clients):
        assert client.call("join", transport, timeout=20) == "ok"
        for each in clients[: number + 1]:
            assert each.heard.get(timeout=20) == ("message", f"joined {transport}")
    for client in clients:
        client.emit("count", 50)
    for client in clients:
        got = [client.heard.get(timeout=20) for _ in range(50)]
        assert got == [("number", number) for number in range(50)]
    clients[0].emit("fail")
    assert clients[0].heard.get(timeout=20) == ("failed", "ZeroDivisionError")
    for client in clients:
        client.disconnect()
running.kill()
print("pass")
