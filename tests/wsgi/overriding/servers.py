"""Methods and attributes of `Server`."""

from __future__ import annotations

import io
from typing import ClassVar

from running import HEAD, ROWS, Protocol, Run, Showing, row, run, told

import eventlet
from eventlet import wsgi


def late(change, request=HEAD, times=1, **options):
    """Change the server once it runs; return what the next client sees."""
    server = Run(**options)
    change(server.made.wait())
    answers = [server.ask(request) for _ in range(times)]
    eventlet.sleep(0.01)
    seen = [answers, server.lines()]
    server.stop()
    return seen


for _name, _value in (
    ("keepalive", False), ("log_output", False), ("log_format", "%(status_code)s!"),
    ("log_x_forwarded_for", False), ("minimum_chunk_size", 1), ("url_length_limit", 20),
    ("max_http_version", "HTTP/1.0"), ("capitalize_response_headers", False),
    ("environ", {"my.name": "1"}), ("debug", True), ("pid", 7), ("socket_timeout", 3),
):  # fmt: skip
    ROWS[f"server {_name}"] = lambda name=_name, value=_value: late(
        lambda server: setattr(server, name, value),
        HEAD.replace("X-One", "X-Forwarded-For: 1.1.1.1\r\nX-One"),
    )
    if _name != "pid":
        ROWS[f"argument {_name}"] = lambda name=_name, value=_value: run(
            HEAD.replace("X-One", "X-Forwarded-For: 1.1.1.1\r\nX-One"),
            environ=["my.name"], **{name: value},
        )  # fmt: skip


@row
def server_app_replaced():
    def other(environ, start_response):
        start_response("299 Other", [])
        return [b"other"]

    return late(lambda server: setattr(server, "app", other))


@row
def server_protocol_replaced():
    class Own(Protocol):
        def get_environ(self):
            return {**super().get_environ(), "PATH_INFO": "/own"}

    return late(lambda server: setattr(server, "protocol", Own))


@row
def server_log_replaced():
    log = io.StringIO()

    def change(server):
        server.log = wsgi.LoggerFileWrapper(log, False)

    return [late(change), log.getvalue()]


@row
def server_get_environ_replaced():
    def change(server):
        former = server.get_environ
        server.get_environ = lambda: {
            **former(),
            "PATH_INFO": "ignored",
            "my.name": "2",
        }

    application = Showing()
    seen = late(change, application=application)
    return [seen, application.environ["my.name"]]


@row
def server_process_request_replaced():
    calls = []

    def change(server):
        former = server.process_request

        def process_request(state):
            calls.append([state[0][0], state[2]])
            return former(state)

        server.process_request = process_request

    return [late(change), calls]


@row
def server_subclassed():
    class Own(wsgi.Server):
        lines: ClassVar[list[str]] = []

        def get_environ(self):
            return {**super().get_environ(), "my.name": "3"}

        def log_message(self, message):
            self.lines.append(message)

    application = Showing()
    sock = eventlet.listen(("127.0.0.1", 0))
    server = Own(sock, sock.getsockname(), application, log=io.StringIO(), debug=False)
    client = eventlet.connect(sock.getsockname())
    connection, address = sock.accept()
    thread = eventlet.spawn(
        server.process_request, [address, connection, wsgi.STATE_IDLE]
    )
    client.sendall(HEAD.encode())
    answer = client.recv(4096).decode().partition("\r\n")[0]
    client.close()
    thread.wait()
    server.log_message("mine")
    sock.close()
    return [
        answer, application.environ["my.name"], Own.lines, server.outstanding_requests,
        server.log.__class__.__name__, server.is_ssl if hasattr(server, "is_ssl") else False,
    ]  # fmt: skip


@row
def module_stops_accepting():
    server = Run()
    first = server.ask()["status"]
    wsgi.is_accepting = False
    try:
        eventlet.connect(server.address).close()
        with eventlet.Timeout(1, False):
            told(server.thread.wait)
            return [first, "ended"]
        return [first, "goes on"]
    finally:
        wsgi.is_accepting = True
        server.stop()


@row
def attributes_of_a_server():
    server = Run()
    made = server.made.wait()
    seen = [
        made.app is server.application, made.socket is server.sock,
        made.address == server.address, made.environ, made.protocol is Protocol,
        made.minimum_chunk_size, made.keepalive, made.max_http_version,
        made.url_length_limit, made.log_x_forwarded_for, made.socket_timeout,
        made.capitalize_response_headers, made.outstanding_requests,
    ]  # fmt: skip
    server.stop()
    return seen
