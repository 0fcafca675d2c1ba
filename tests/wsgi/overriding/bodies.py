"""Methods and attributes of `Input`."""

from __future__ import annotations

import io

from running import ROWS, row, run, told

from eventlet import wsgi

CHUNKS = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


def body(data, length, **more):
    """Make a body on a file."""
    return wsgi.Input(io.BytesIO(data), length, None, **more)


for _name, _call in {
    "read": lambda b: b.read(), "read 2": lambda b: b.read(2),
    "read 0": lambda b: b.read(0), "read -1": lambda b: b.read(-1),
    "readline": lambda b: b.readline(), "readline 2": lambda b: b.readline(2),
    "readlines": lambda b: [line.decode() for line in b.readlines()],
    "readlines 1": lambda b: [line.decode() for line in b.readlines(1)],
    "iter": lambda b: [line.decode() for line in b],
    "discard": lambda b: [b.discard(), b.read().decode()],
}.items():  # fmt: skip

    def _both(call=_call):
        seen = []
        for data, length, chunked in (
            (b"ab\ncd\nef", 8, False), (b"ab\ncd", 4, False), (b"", 0, False),
            (b"3\r\nab\n\r\n3\r\ncd\n\r\n0\r\n\r\n", None, True),
            (b"0\r\n\r\nrest", None, True),
        ):  # fmt: skip
            made = body(data, length, chunked_input=chunked)
            seen.append(told(lambda made=made: call(made)))
        return seen

    ROWS[f"body {_name}"] = _both


@row
def chunked_set_late():
    made = body(CHUNKS + b"next", None)
    made.chunked_input = True
    return told(made.read)


@row
def chunked_unset_late():
    made = body(b"abc", 3, chunked_input=True)
    made.chunked_input = False
    return told(made.read)


@row
def length_set_late():
    seen = []
    for value in (3, 0, 100):
        made = body(b"abcdef", 2)
        made.content_length = value
        seen.append(told(made.read))
    return seen


@row
def length_is_none_or_text():
    seen = []
    for value in ("4", None):
        made = body(b"abcdef", 2)
        made.content_length = value
        seen.append(told(made.read))
    return [*seen, told(body(b"abc", None).read)]


@row
def length_set_between_reads():
    made = body(b"abcdef", 2)
    first = told(lambda: made.read(2))
    made.content_length = 4
    return [first, told(made.read)]


@row
def file_set_late():
    made = body(b"", 3)
    made.rfile = io.BytesIO(b"xyz")
    return [told(made.read), made.position]


@row
def position_set_late():
    made = body(b"abcdef", 4)
    made.position = 2
    return told(made.read)


@row
def chunk_length_set_late():
    made = body(b"defg\r\n0\r\n\r\n", None, chunked_input=True)
    made.chunk_length = 7
    made.position = 3
    return told(made.read)


@row
def continue_set_late():
    file = io.BytesIO()
    made = body(b"abc", 3)
    made.wfile = file
    made.wfile_line = b"HTTP/1.1 100 Go on\r\n"
    made.set_hundred_continue_response_headers([("x-a", "1")])
    before = made.should_send_hundred_continue
    read = told(made.read)
    return [before, read, file.getvalue().decode(), made.should_send_hundred_continue]


@row
def continue_without_capitals():
    file = io.BytesIO()
    made = body(b"abc", 3, wfile=file, wfile_line=b"HTTP/1.1 100 Go on\r\n")
    made.set_hundred_continue_response_headers([("x-a", "1")], False)
    made.send_hundred_continue_response()
    return file.getvalue().decode()


@row
def continue_not_wanted():
    seen = []
    for name in ("is_hundred_continue_response_sent", "headers_sent"):
        file = io.BytesIO()
        made = body(b"abc", 3, wfile=file, wfile_line=b"HTTP/1.1 100 Go on\r\n")
        setattr(made, name, True)
        seen.append([told(made.read), file.getvalue().decode()])
    return seen


@row
def continue_headers_set_late():
    file = io.BytesIO()
    made = body(b"abc", 3, wfile=file, wfile_line=b"HTTP/1.1 100 Go on\r\n")
    made.hundred_continue_headers = [("x-b", "2")]
    made.read()
    return file.getvalue().decode().lower()


@row
def socket_of_a_body():
    marker = object()
    return wsgi.Input(io.BytesIO(), 0, marker).get_socket() is marker


@row
def malformed_chunks():
    return [
        told(body(data, None, chunked_input=True).read)
        for data in (
            b"zz\r\nab",
            b"\r\nab",
            b"5\r\nab",
            b"",
            b"2\r\nab",
            b"-2\r\nab\r\n",
        )
    ]


@row
def attributes_set_in_a_request():

    def application(environ, start_response):
        environ["wsgi.input"].content_length = 2
        data = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [data]

    request = "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\nhi"
    return run(request, application=application)["answers"]


@row
def chunked_set_in_a_request():
    def application(environ, start_response):
        environ["wsgi.input"].chunked_input = True
        data = environ["wsgi.input"].read()
        start_response("200 OK", [])
        return [data]

    request = (
        "PUT / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
    )
    return run(request, application=application)["answers"]
