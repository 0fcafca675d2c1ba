"""Attributes of `HttpProtocol`."""

from __future__ import annotations

from running import HEAD, PUT, ROWS, Protocol, Run, row, setting

import eventlet
from eventlet.green.http.client import HTTPMessage


@row
def message_class():
    class Message(HTTPMessage):
        def get_default_type(self):
            return "my/own"

    request = HEAD.replace("Content-Type: t/x\r\n", "")
    return setting("MessageClass", Message, request, environ=["CONTENT_TYPE"])


for _name, _value, _request in (
    ("capitalize_response_headers", False, HEAD),
    ("default_request_version", "HTTP/1.0", HEAD),
    ("disable_nagle_algorithm", True, HEAD),
    ("error_content_type", "text/plain", HEAD),
    ("minimum_chunk_size", 1, HEAD),
    ("monthname", [None, *"abcdefghijkl"], HEAD),
    ("protocol_version", "HTTP/1.0", HEAD),
    ("rbufsize", 1, PUT),
    ("rbufsize", 100, PUT),
    ("reject_bad_requests", False, PUT.replace("\r\n\r\nhello",
     "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")),
    ("reject_bad_requests", True, PUT.replace("\r\n\r\nhello",
     "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n")),
    ("responses", {}, HEAD),
    ("server_version", "My/1", HEAD),
    ("sys_version", "", HEAD),
    ("timeout", 5, HEAD),
    ("wbufsize", 0, HEAD),
    ("wbufsize", 1, PUT),
    ("weekdayname", list("abcdefg"), HEAD),
):  # fmt: skip
    ROWS[f"attribute {_name} {str(_value)[:10]} {_request[:3]}"] = (
        lambda name=_name, value=_value, request=_request: setting(name, value, request)
    )


@row
def pieces_of_a_response():
    """`minimum_chunk_size` of the class, of the server, and of one request."""

    def application(environ, start_response):
        start_response("200 OK", [])
        size = environ["PATH_INFO"][1:]
        if size:
            environ["eventlet.minimum_write_chunk_size"] = int(size)
        return iter([b"ab"] * 4)

    def chunks(path, protocol=Protocol, **options):
        server = Run(protocol, application=application, **options)
        client = eventlet.connect(server.address)
        client.sendall(
            f"GET /{path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()
        )
        data = client.makefile("rb").read().partition(b"\r\n\r\n")[2].decode()
        server.stop()
        return data.split("\r\n")[:-3]

    small = type("Own", (Protocol,), {"minimum_chunk_size": 4})
    return [
        chunks(""), chunks("4"), chunks("", small), chunks("", minimum_chunk_size=2),
        chunks("8", small), chunks("", small, minimum_chunk_size=6),
    ]  # fmt: skip
