"""Methods of `HttpProtocol`."""

from __future__ import annotations

import re

from running import BAD, EXPECT, HEAD, PUT, ROWS, Protocol, counting, row, run

from eventlet.green.http.client import HTTPMessage

for _name, _request in {
    "setup": HEAD, "handle": HEAD, "handle_one_request": HEAD, "parse_request": HEAD,
    "_read_request_line": HEAD, "get_environ": HEAD, "handle_one_response": HEAD,
    "finish": HEAD, "handle_expect_100": HEAD, "log_error": HEAD, "log_request": HEAD,
    "send_error": HEAD, "send_response": HEAD, "send_response_only": HEAD,
    "send_header": HEAD, "end_headers": HEAD, "flush_headers": HEAD,
    "version_string": HEAD, "date_time_string": HEAD,
}.items():  # fmt: skip
    ROWS[f"plain {_name}"] = lambda name=_name, request=_request: counting(
        name, request
    )
    if _name not in ("send_header", "end_headers"):
        ROWS[f"closing {_name}"] = lambda name=_name: counting(
            name, HEAD.replace("Host", "Connection: close\r\nHost")
        )


@row
def address_string_in_own_lines():
    class Own(Protocol):
        def address_string(self):
            return "somebody"

        def handle_one_response(self):
            self.log_message("%s asked", "he")
            super().handle_one_response()

    return [re.sub(r"\[.*?\]", "[]", line) for line in run(protocol=Own)["log"]]


@row
def date_of_the_log():
    class Own(Protocol):
        def log_date_time_string(self):
            return "NOW"

    return run(protocol=Own, log_format="%(date_time)s %(status_code)s")["log"]


@row
def client_address():
    class Own(Protocol):
        def get_client_address(self):
            return "1.2.3.4", 9

    return run(protocol=Own, log_format="%(client_ip)s %(client_port)s")["log"]


@row
def keys_of_environ():
    class Own(Protocol):
        def formalize_key_naming(self, k):
            return k.replace("-", "__").upper()

    return run(protocol=Own, environ=["HTTP_X__ONE", "HTTP_X_ONE", "HTTP_HOST"])


@row
def environ_replaced():
    class Own(Protocol):
        def get_environ(self):
            return {**super().get_environ(), "PATH_INFO": "/mine", "my.name": "1"}

    return run(protocol=Own, environ=["my.name"])


@row
def request_parsed_by_hand():
    class Own(Protocol):
        def parse_request(self):
            self.close_connection = False
            self.requestline = self.raw_requestline.decode().strip()
            self.command, self.path, self.request_version = "PUT", "/x", "HTTP/1.1"
            self.headers = HTTPMessage()
            while (line := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = line.decode().partition(":")
                self.headers[name] = value.strip()
            return True

    return run(PUT, protocol=Own, times=2)


@row
def request_parsed_and_changed():
    class Own(Protocol):
        def parse_request(self):
            parsed = super().parse_request()
            self.command, self.path = "POST", "/changed?q"
            return parsed

    return run(PUT, protocol=Own, times=2, environ=["QUERY_STRING", "REQUEST_METHOD"])


@row
def request_refused_silently():
    class Own(Protocol):
        def parse_request(self):
            super().parse_request()
            return False

    return run(protocol=Own)


@row
def request_refused_with_words():
    class Own(Protocol):
        def parse_request(self):
            if super().parse_request():
                self.send_error(403, "Not you", "because")
            return False

    seen = run("GET / HTTP/1.0\r\n\r\n", protocol=Own)["answers"][0]
    return {name: seen.get(name) for name in ("status", "connection", "closed")}


@row
def connection_closed_by_the_response():
    class Own(Protocol):
        def handle_one_response(self):
            super().handle_one_response()
            self.close_connection = True

    return run(protocol=Own)


@row
def response_by_hand():
    class Own(Protocol):
        def handle_one_response(self):
            self.wfile.write(b"HTTP/1.1 299 Mine\r\nContent-Length: 2\r\n\r\nhi")
            self.wfile.flush()
            self.close_connection = self.command == "PUT"

    return [run(protocol=Own, times=2), run(PUT, protocol=Own)]


@row
def attributes_of_a_request():
    seen = []

    class Own(Protocol):
        def handle_one_response(self):
            seen.append(
                [
                    self.command, self.path, self.request_version, self.requestline,
                    self.raw_requestline.decode(), self.headers["x-one"],
                    self.headers.get_content_type(), self.client_address[0],
                    self.connection is self.request, self.close_connection,
                    self.environ["PATH_INFO"], self.application is self.server.app,
                    self.conn_state[2], self.conn_state[1] is self.request,
                ]
            )  # fmt: skip
            super().handle_one_response()

    run(protocol=Own)
    return seen


@row
def attributes_when_finished():
    seen = []

    class Own(Protocol):
        def finish(self):
            seen.append(
                [self.command, self.path, self.requestline, self.headers["host"]]
            )
            super().finish()

    run(HEAD.replace("X-One", "Connection: close\r\nX-One"), protocol=Own)
    return seen


@row
def connection_with_a_preface():
    class Own(Protocol):
        def handle(self):
            line = self.rfile.readline()
            self.client_address = (line.split()[1].decode(), 7)
            super().handle()

    return run("HELLO 9.9.9.9\r\n" + HEAD, protocol=Own, environ=["REMOTE_ADDR"])


@row
def files_replaced_by_setup():
    calls = []

    class File:
        def __init__(self, file):
            self._file = file

        def readline(self, *args):
            calls.append("readline")
            return self._file.readline(*args)

        def __getattr__(self, name):
            return getattr(self._file, name)

    class Own(Protocol):
        def setup(self):
            super().setup()
            self.rfile = File(self.rfile)

    return [run(PUT, protocol=Own, times=2), calls[:2]]


@row
def file_without_peek():
    class File:
        def __init__(self, file):
            self.read, self.readline, self.close = file.read, file.readline, file.close

    class Own(Protocol):
        def setup(self):
            super().setup()
            self.rfile = File(self.rfile)

    return run(PUT, protocol=Own, times=2)


@row
def expectation_refused():
    class Own(Protocol):
        def handle_expect_100(self):
            self.wfile.write(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n")
            return False

    return run(EXPECT, protocol=Own)["answers"]


@row
def refusal_in_own_words():
    calls = []

    class Own(Protocol):
        def send_error(self, code, message=None, explain=None):
            calls.append(code)
            super().send_error(code, "Mine")

    return [run(BAD, protocol=Own)["answers"][0]["status"], calls]


@row
def log_messages_elsewhere():
    calls = []

    class Own(Protocol):
        def log_message(self, format, *args):  # noqa: A002 - the name upstream has
            calls.append(format % args)

        def handle_one_response(self):
            self.log_message("%s", "mine")
            self.log_error("%s", "worse")
            self.log_request(200, 5)
            super().handle_one_response()

    return [run(protocol=Own)["log"], calls]
