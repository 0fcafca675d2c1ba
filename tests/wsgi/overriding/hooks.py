"""Logs, errors, pools and hooks."""

from __future__ import annotations

import io
import logging
import sys

from running import HEAD, Run, row, run, told

import eventlet


@row
def log_is_a_logger():
    lines = []

    class Handler(logging.Handler):
        def emit(self, record):
            lines.append([record.levelname, record.getMessage()])

    logger = logging.getLogger("mine")
    logger.setLevel(logging.DEBUG)
    logger.propagate = False
    logger.addHandler(Handler())
    run(log=logger)
    return [
        line for line in lines if "wsgi " not in line[1] and "accepted" not in line[1]
    ]


@row
def log_has_write_alone():
    lines = []

    class Log:
        def write(self, text):
            lines.append(text)

    run(log=Log())
    return [line for line in lines if ") " not in line]


@row
def log_is_none():
    former, sys.stderr = sys.stderr, io.StringIO()
    try:
        run(log=None)
        return "GET /path?query HTTP/1.1 200" in sys.stderr.getvalue()
    finally:
        sys.stderr = former


@row
def log_is_off():
    return run(log_output=False)["log"]


def failing(environ, start_response):
    """Fail."""
    raise ValueError("on purpose")


def failing_late(environ, start_response):
    """Fail when the head is sent."""
    start_response("200 OK", [])
    yield b"a" * 5000
    raise ValueError("on purpose")


@row
def application_fails():
    seen = run(application=failing)
    return [seen["answers"][0]["status"], "closed" in seen["answers"][0], seen["log"]]


@row
def application_fails_in_debug():
    seen = run(application=failing, debug=True)["answers"][0]
    return [seen["status"], "ValueError: on purpose" in seen["body"]]


@row
def application_fails_late():
    server = Run(application=failing_late)
    client = eventlet.connect(server.address)
    client.sendall(HEAD.encode())
    data = client.makefile("rb").read()
    eventlet.sleep(0.01)
    server.stop()
    return [data.endswith(b"0\r\n\r\n"), server.lines()]


@row
def pool_is_asked():
    calls = []

    class Pool(eventlet.GreenPool):
        def spawn(self, function, *args, **kwargs):
            calls.append("spawn")
            return super().spawn(function, *args, **kwargs)

        def spawn_n(self, function, *args, **kwargs):
            calls.append("spawn")
            return super().spawn_n(function, *args, **kwargs)

        def waitall(self):
            calls.append("waitall")
            return super().waitall()

    server = Run(custom_pool=Pool(5))
    answer = server.ask()
    server.client.close()
    server.client = None
    server.stop()
    with eventlet.Timeout(2, False):
        told(server.thread.wait)
    return [answer["status"], calls]


@row
def hooks_run_in_order():
    calls = []

    def application(environ, start_response):
        hooks = environ["eventlet.posthooks"]
        hooks.append((lambda env, *a, **k: calls.append([a, k]), (1,), {"b": 2}))
        hooks.append((lambda env: 1 / 0, (), {}))
        hooks.append((lambda env: calls.append(env["PATH_INFO"]), (), {}))
        start_response("200 OK", [])
        return [b"ok"]

    seen = run(application=application)
    return [seen["answers"], calls, [line for line in seen["log"] if "Zero" in line]]


@row
def hooks_run_after_a_failure():
    calls = []

    def application(environ, start_response):
        environ["eventlet.posthooks"] = [(lambda env: calls.append(1), (), {})]
        raise ValueError("on purpose")

    run(application=application)
    return calls


@row
def result_is_closed():
    calls = []

    class Result:
        def __iter__(self):
            return iter([b"a", b"b"])

        def close(self):
            calls.append("close")

    def application(environ, start_response):
        start_response("200 OK", [])
        return Result()

    return [run(application=application)["answers"][0]["body"], calls]


@row
def no_content_with_length():
    seen = []
    for headers in ([], [("Content-Length", "0")]):

        def application(environ, start_response, headers=headers):
            start_response("204 No Content", headers)
            return []

        server = Run(application=application)
        client = eventlet.connect(server.address)
        client.sendall(HEAD.replace("Host", "Connection: close\r\nHost").encode())
        data = client.makefile("rb").read().lower()
        server.stop()
        seen.append(
            [b"content-length: 0" in data, data.partition(b"\r\n\r\n")[2] == b""]
        )
    return seen
