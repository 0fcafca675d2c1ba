"""Flask-SocketIO driven by a browser: polling, upgrade, binary, limits, closes, several tabs."""

# needs: Flask-SocketIO
# given: APPS_CHROMIUM APPS_SOCKETIO_CLIENT

import eventlet

eventlet.monkey_patch()

import io
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import flask
import flask_socketio

from eventlet import wsgi

LIMIT = 100_000
TABS = 4
SECONDS = 120

PAGE = """<!doctype html><script src="/client.js"></script><script>
const part = new URLSearchParams(location.search).get("part");
const report = (name, value) =>
  fetch("/report", {method: "POST", body: JSON.stringify({part, name, value})});
const once = (socket, name) => new Promise(done => socket.once(name, done));
const open = async options => {
  const socket = io({reconnection: false, forceNew: true, ...options});
  await once(socket, "welcome");
  return socket;
};
const ask = (socket, ...values) => socket.timeout(20000).emitWithAck(...values);
const transport = socket => socket.io.engine.transport.name;
const same = (left, right) => {
  const [a, b] = [new Uint8Array(left), new Uint8Array(right)];
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
};
const parts = {
  async polling() {
    const socket = await open({transports: ["polling"]});
    const text = await ask(socket, "echo", "κόσμε");
    const bytes = new Uint8Array(5000).map((_, at) => at % 251);
    const data = same(bytes, await ask(socket, "echo", bytes));
    return [transport(socket), text, data];
  },
  async upgrade() {
    const socket = io({reconnection: false, forceNew: true});
    await new Promise(done => socket.io.engine.once("upgrade", done));
    const bytes = new Uint8Array(50000).map((_, at) => at % 253);
    const data = same(bytes, await ask(socket, "echo", bytes));
    const many = [];
    for (let at = 0; at < 200; at++) many.push(ask(socket, "echo", at));
    const sum = (await Promise.all(many)).reduce((a, b) => a + b, 0);
    return [transport(socket), data, sum];
  },
  async limit() {
    const socket = await open({transports: ["websocket"]});
    const ended = once(socket, "disconnect");
    socket.emit("echo", "x".repeat(LIMIT * 3));
    const why = await ended;
    const other = await open({transports: ["websocket"]});
    return [why, await ask(other, "echo", "still here")];
  },
  async closed() {
    // By the server, while this side goes on sending: twenty times.
    const all = [];
    for (let at = 0; at < 20; at++) all.push((async () => {
      const socket = await open({transports: ["websocket"]});
      const ended = once(socket, "disconnect");
      const timer = setInterval(() => socket.emit("noise", "x".repeat(100)), 5);
      socket.emit("leave");
      const why = await ended;
      clearInterval(timer);
      return why;
    })());
    return [...new Set(await Promise.all(all))];
  },
  async left() {
    // By this side, in the middle of what the server sends.
    for (let at = 0; at < 20; at++) {
      const socket = await open({transports: ["websocket"]});
      socket.emit("flood");
      await once(socket, "drop");
      socket.disconnect();
    }
    return "left";
  },
  async tab() {
    const socket = await open();
    socket.emit("join", "tabs");
    const greeting = await once(socket, "all here");
    await report("tab", greeting);
    // Closed with the connection open, and while it is sending.
    setInterval(() => socket.emit("noise", "x".repeat(1000)), 1);
    setTimeout(() => window.close(), 100);
    return greeting;
  },
};
(async () => {
  const begin = part ? [part] : ["polling", "upgrade", "limit", "closed", "left"];
  for (const name of begin) {
    try { await report(name + " done", await parts[name]()); }
    catch (error) { await report(name + " done", "failed: " + error); }
  }
  if (part) return;
  for (let at = 0; at < TABS; at++) window.open("/?part=tab");
})();
</script>""".replace("LIMIT", str(LIMIT)).replace("TABS", str(TABS))

app = flask.Flask("browser")
server = flask_socketio.SocketIO(app, max_http_buffer_size=LIMIT)
assert server.async_mode == "eventlet"
reports, gone = {}, []
tabs, ended = [], []


@app.get("/")
def index():
    return PAGE


@app.get("/client.js")
def client():
    return flask.send_file(os.environ["APPS_SOCKETIO_CLIENT"])


@app.post("/report")
def report():
    found = flask.request.get_json(force=True)
    reports.setdefault(found["name"], []).append(found["value"])
    return ""


@server.on("connect")
def connect():
    flask_socketio.emit("welcome")


@server.on("disconnect")
def disconnect(*_reason):
    gone.append(flask.request.sid)
    if flask.request.sid in tabs:
        ended.append(flask.request.sid)


@server.on("echo")
def echo(value):
    return value


@server.on("noise")
def noise(_value):
    pass


@server.on("leave")
def leave():
    flask_socketio.disconnect()


@server.on("flood")
def flood():
    sid = flask.request.sid

    def send():
        for number in range(500):
            server.emit("drop", f"{number}" * 100, to=sid)
            eventlet.sleep(0)

    server.start_background_task(send)


@server.on("join")
def join(room):
    flask_socketio.join_room(room)
    tabs.append(flask.request.sid)
    if len(tabs) == TABS:
        server.emit("all here", "hello, all", to=room)


listener = eventlet.listen(("127.0.0.1", 0))
# What green threads die of is printed there.
log = sys.stderr = io.StringIO()
eventlet.spawn(wsgi.server, listener, app, log=log)
profile = tempfile.mkdtemp()
browser = subprocess.Popen(
    [
        os.environ["APPS_CHROMIUM"], "--headless", "--no-sandbox", "--disable-gpu",
        "--disable-quic", "--no-first-run", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
        "--disable-popup-blocking", "--disable-background-timer-throttling",
        f"--user-data-dir={profile}",
        "--remote-debugging-port=0",  # else it ends with the page's load
        f"http://127.0.0.1:{listener.getsockname()[1]}/",
    ],
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
    start_new_session=True,
)  # fmt: skip
try:
    end = time.monotonic() + SECONDS
    while len(ended) < TABS:
        assert time.monotonic() < end, (reports, len(tabs), len(ended), log.getvalue())
        eventlet.sleep(0.1)
finally:
    sys.stderr = sys.__stderr__
    os.killpg(browser.pid, signal.SIGKILL)
    browser.wait()
    shutil.rmtree(profile, ignore_errors=True)

assert reports["polling done"] == [["polling", "κόσμε", True]], reports
assert reports["upgrade done"] == [["websocket", True, sum(range(200))]], reports
why, other = reports["limit done"][0]
assert why in {"transport close", "transport error"}, reports
assert other == "still here"
assert reports["closed done"] == [["io server disconnect"]], reports
assert reports["left done"] == ["left"], reports
assert reports["tab"] == ["hello, all"] * TABS, reports
assert "Traceback" not in log.getvalue(), log.getvalue()
assert "Second simultaneous" not in log.getvalue()
print("pass")
