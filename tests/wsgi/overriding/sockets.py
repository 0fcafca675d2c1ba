"""What stands in for a socket."""

from __future__ import annotations

import io

from running import BAD, HEAD, PUT, ROWS, Showing, row, told

import eventlet
from eventlet import wsgi
from eventlet.green import socket


class Duck:
    """As little of a socket as a test gives a server."""

    def __init__(self, data):
        self.data = io.BytesIO(data.encode("latin-1"))
        self.out = io.BytesIO()
        self.out.close = lambda: None
        self.closed = False

    def makefile(self, mode, *_args, **_kwargs):
        """Return the file to read from, or the one to write to."""
        return io.BufferedReader(self.data) if "r" in mode else self.out

    def getsockname(self):
        """Return an address."""
        return ("1.2.3.4", 80)

    def close(self):
        """Take note."""
        self.closed = True

    def answer(self):
        """Return status line and body of what was written."""
        head, _, rest = self.out.getvalue().decode("latin-1").partition("\r\n\r\n")
        return [head.split("\r\n")[0], rest]


class DuckWithTimeout(Duck):
    """One that knows about timeouts, too."""

    def settimeout(self, timeout):
        """Do nothing."""

    def gettimeout(self):
        """Return none."""

    def setsockopt(self, *args):
        """Do nothing."""

    def shutdown(self, how):
        """Do nothing."""


class DuckWithoutNumber(DuckWithTimeout):
    """One whose descriptor is none."""

    def __init__(self, data, number):
        super().__init__(data)
        self.number = number

    def fileno(self):
        """Return or raise what was given."""
        if isinstance(self.number, Exception):
            raise self.number
        return self.number


def serve_duck(duck, application=None, **options):
    """Serve a connection on something that stands in for a socket."""
    server = wsgi.Server(
        Duck(""), ("1.2.3.4", 80), application or Showing(), log=io.StringIO(),
        debug=False, **options,
    )  # fmt: skip
    problem = told(
        lambda: server.process_request([("5.6.7.8", 9), duck, wsgi.STATE_IDLE])
    )
    return [problem, *duck.answer(), duck.closed]


for _name, _make in {
    "plain": Duck, "timeout": DuckWithTimeout,
    "number -1": lambda data: DuckWithoutNumber(data, -1),
    "number None": lambda data: DuckWithoutNumber(data, None),
    "number text": lambda data: DuckWithoutNumber(data, "seven"),
    "number huge": lambda data: DuckWithoutNumber(data, 1 << 70),
    "no number": lambda data: DuckWithoutNumber(data, AttributeError("fileno")),
    "unsupported": lambda data: DuckWithoutNumber(data, io.UnsupportedOperation("fileno")),
}.items():  # fmt: skip
    ROWS[f"duck {_name}"] = lambda make=_make: [
        serve_duck(make(HEAD.replace("Host", "Connection: close\r\nHost"))),
        serve_duck(make(PUT)), serve_duck(make("")),
        " 400 " in serve_duck(make(BAD))[1],
    ]  # fmt: skip


@row
def duck_listener():
    # It hands out what stands in for a socket, and then is closed.
    ducks = [DuckWithTimeout(PUT), DuckWithTimeout(HEAD)]

    class Listener(Duck):
        family = socket.AF_INET

        def accept(self):
            eventlet.sleep(0)
            if not (waiting := [duck for duck in ducks if not duck.closed]):
                raise OSError(9, "closed")
            eventlet.sleep(0.01)
            return waiting[0], ("5.6.7.8", 9)

    log = io.StringIO()
    problem = told(
        lambda: wsgi.server(Listener(""), Showing(), log=log, debug=False, max_size=1)
    )
    return [problem, [duck.answer() for duck in ducks]]


@row
def address_is_a_path():
    class Path(DuckWithTimeout):
        def getsockname(self):
            return "/run/mine"

    duck = Path(HEAD.replace("Host", "Connection: close\r\nHost"))
    application = Showing()
    server = wsgi.Server(
        duck, "/run/mine", application, log=io.StringIO(), debug=False,
        log_format="%(client_ip)s %(client_port)s",
    )  # fmt: skip
    server.process_request(["", duck, wsgi.STATE_IDLE])
    environ = application.environ
    names = ("SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT")
    return [{name: environ[name] for name in names}, server.log.log.getvalue()]
