"""Servers with one thing of their own, and what a client sees of them."""

from __future__ import annotations

import io
import re

import eventlet
from eventlet import wsgi

Protocol = wsgi.HttpProtocol
HEAD = "GET /path?query HTTP/1.1\r\nHost: a\r\nX-One: 1\r\nContent-Type: t/x\r\n\r\n"
PUT = "PUT /put HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
EXPECT = (
    "PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
)
BAD = "GET / one more HTTP/1.1\r\n\r\n"
SHOWN = ("connection", "keep-alive", "x-path", "content-type", "server")
ROWS = {}


def row(function):
    """Add a row to the table."""
    ROWS[function.__name__] = function
    return function


class Showing:
    """An application that shows what it is asked, and keeps its `environ`."""

    environ = None

    def __call__(self, environ, start_response):
        """Answer with the method, the path and the body."""
        self.environ = environ
        body = environ["wsgi.input"].read()
        start_response("200 OK", [("x-PATH", environ["PATH_INFO"])])
        return [environ["REQUEST_METHOD"].encode(), b" ", body]


def is_closed(client):
    """Say whether the server has closed a connection, or will at once."""
    client.setblocking(False)
    try:
        for _ in range(30):
            # Both are in one process: a few turns are enough.
            eventlet.sleep(0.001)
            try:
                return client.recv(1) == b""
            except BlockingIOError:
                continue
            except OSError:
                return True
    finally:
        client.setblocking(True)
    return False


class Run:
    """A server, what it logs, and what a client sees of it."""

    def __init__(self, protocol=Protocol, application=None, sock=None, **options):
        self.application = application or Showing()
        self.log = io.StringIO()
        self.sock = sock or eventlet.listen(("127.0.0.1", 0))
        self.address = self.sock.getsockname()
        self.made = eventlet.Event()
        options = {
            "log": self.log, "debug": False, "log_format": "%(client_ip)s"
            " %(request_line)s %(status_code)s", "server_event": self.made,
        } | options  # fmt: skip
        self.thread = eventlet.spawn(
            wsgi.server, self.sock, self.application, protocol=protocol, **options
        )
        self.client = None

    def ask(self, request=HEAD, head=False):
        """Send a request; say what came, and whether the connection has ended."""
        if self.client is None:
            self.client = eventlet.connect(self.address)
        self.client.sendall(request.encode("latin-1"))
        file = self.client.makefile("rb")
        seen = {"status": file.readline().decode().rstrip()}
        headers = {}
        while line := file.readline().decode().rstrip():
            name, _, value = line.partition(":")
            headers[name] = value.strip()
        lower = {name.lower(): value for name, value in headers.items()}
        seen |= {name: value for name, value in lower.items() if name in SHOWN}
        if "x-PATH" in headers:
            seen["raw name"] = "x-PATH"
        if lower.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(file.readline() or b"0", 16):
                body += file.read(size + 2)[:-2]
            file.readline()
        elif "content-length" in lower:
            body = b"" if head else file.read(int(lower["content-length"]))
        else:
            body = file.read()
        seen["body"] = body.decode("latin-1")
        if is_closed(self.client):
            seen["closed"] = True
        return seen

    def lines(self):
        """Return the log without process ids, ports and tracebacks' middles."""
        text = re.sub(r"\(\d+\) ", "", self.log.getvalue())
        text = re.sub(r":\d+", ":PORT", text)
        return [
            line
            for line in text.splitlines()
            if line and not line.startswith((" ", "wsgi ", "accepted", "Traceback"))
        ]

    def stop(self):
        """End the server."""
        if self.client is not None:
            self.client.close()
        self.thread.kill()
        self.sock.close()


def run(request=HEAD, *, times=1, protocol=Protocol, environ=(), **options):
    """Run one server for one client; return what both saw."""
    server = Run(protocol, **options)
    answers = []
    for _ in range(times):
        answers.append(server.ask(request))
        if "closed" in answers[-1]:
            break
    eventlet.sleep(0.01)
    seen = {"answers": answers, "log": server.lines()}
    given = getattr(server.application, "environ", None)
    if environ and given is not None:
        seen["environ"] = {name: str(given.get(name)) for name in environ}
    server.stop()
    return seen


def counting(name, request=HEAD, change=None, **options):
    """Override one method of the protocol, which tells that it was called."""
    calls = []

    def method(self, *args, **kwargs):
        calls.append(name)
        result = getattr(Protocol, name)(self, *args, **kwargs)
        return result if change is None else change(result)

    kind = type("Own", (Protocol,), {name: method})
    return {**run(request, protocol=kind, **options), "calls": calls}


def setting(name, value, request=HEAD, **options):
    """Set one attribute of the protocol's class."""
    return run(request, protocol=type("Own", (Protocol,), {name: value}), **options)


def told(function):
    """Return what a call returns or raises."""
    try:
        result = function()
    except (Exception, eventlet.greenlet.GreenletExit) as error:
        return f"{type(error).__name__}: {error}"
    return result.decode() if isinstance(result, bytes) else result
