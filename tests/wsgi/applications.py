"""Applications that tests of the server share, and the plainest request."""

from __future__ import annotations

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def hello(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


def echo(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [])
    return [environ["PATH_INFO"].encode("latin-1"), b":", body]


def answering(*parts, status="200 OK", headers=(), kind=list):
    """Make an application that answers always the same."""

    def application(environ, start_response):
        start_response(status, list(headers))
        return kind(parts)

    return application
