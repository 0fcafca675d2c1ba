"""What a server writes to its log."""

from __future__ import annotations

import logging
import re

import pytest
from tests.wsgi.applications import GET, hello

from eventlet import wsgi


def test_log_tells_of_each_request(serve, protocol):
    server = serve(hello, protocol=protocol)
    client = server.connect()
    client.ask(
        b"GET /a%20b?c HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n\r\n"
    )
    client.ask(b"GET / HTTP/1.0\r\n\r\n")
    lines = server.log.getvalue().splitlines()
    assert re.search(r"^\(\d+\) wsgi starting up on http://127.0.0.1:\d+$", lines[0])
    assert re.search(r"^\(\d+\) accepted \('127.0.0.1', \d+\)$", lines[1])
    assert re.search(
        r"^1\.2\.3\.4,5\.6\.7\.8,127\.0\.0\.1 - - \[\d\d/\w+/\d{4} [\d:]+\] "
        r'"GET /a%20b\?c HTTP/1\.1" 200 \d+ 0\.\d{6}$',
        lines[2],
    )
    assert '"GET / HTTP/1.0" 200' in lines[3]


def test_log_has_no_control_characters_of_clients(serve, protocol):
    server = serve(
        hello, protocol=protocol, log_format="%(client_ip)s|%(request_line)s"
    )
    server.ask(
        b"GET /\xc2\x9b HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: a\x9b31m\tb\r\n\r\n"
    )
    assert server.log.getvalue().splitlines()[-1] == (
        "a\\x9b31m\\x09b,127.0.0.1|GET /\xc2\\x9b HTTP/1.1"
    )


def test_log_format_is_the_users(serve, protocol):
    server = serve(
        hello, protocol=protocol, log_format="%(status_code)s %(client_port)s"
    )
    client = server.connect()
    client.ask(GET)
    port = client.sock.getsockname()[1]
    assert server.log.getvalue().splitlines()[-1] == f"200 {port}"


def test_log_may_be_a_logger(serve, protocol, caplog):
    with caplog.at_level(logging.INFO, "server"):
        server = serve(hello, protocol=protocol, log=logging.getLogger("server"))
        server.ask(b"GET /100%25 HTTP/1.1\r\nHost: a\r\n\r\n")
    assert "GET /100%25 HTTP/1.1" in caplog.text


def test_log_is_standard_error_by_default(serve, protocol, capsys):
    serve(hello, protocol=protocol, log=None).ask(GET)
    assert '"GET / HTTP/1.1" 200' in capsys.readouterr().err


def test_debug_false_leaves_out_details(serve, protocol):
    for debug in (True, False):
        server = serve(hello, protocol=protocol, debug=debug)
        server.ask(GET)
        assert ("accepted (" in server.log.getvalue()) == debug
        assert '"GET / HTTP/1.1" 200' in server.log.getvalue()


def test_proxies_may_be_left_out(serve, protocol):
    server = serve(
        hello,
        protocol=protocol,
        log_x_forwarded_for=False,
        log_format="%(client_ip)s",
    )
    server.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4\r\n\r\n")
    assert server.log.getvalue().splitlines()[-1] == "127.0.0.1"


def test_log_output_false_writes_nothing(serve, protocol):
    server = serve(hello, protocol=protocol, log_output=False)
    server.ask(GET)
    server.ask(b"bad\r\n\r\n")
    assert server.log.getvalue() == ""


def test_connection_that_is_taken_over_is_logged_as_a_success(serve, protocol):
    """The server cannot know what the application has sent; upstream writes 200, too."""

    def by_flag(environ, start_response):
        environ["wsgi.input"].get_socket().sendall(b"mine")
        wsgi.WSGI_LOCAL.already_handled = True
        return []

    def by_result(environ, start_response):
        return wsgi.ALREADY_HANDLED

    def by_generator(environ, start_response):
        yield from by_flag(environ, start_response)

    for application in (by_flag, by_result, by_generator):
        server = serve(application, protocol=protocol, log_format="%(status_code)s")
        client = server.connect()
        client.send(GET)
        client.rest()
        assert server.log.getvalue().splitlines()[-1] == "200"


def test_failure_behind_a_closed_connection_is_logged_once(serve):
    """The application's error is in the log, and nothing of a response that cannot be sent."""

    def application(environ, start_response):
        environ["wsgi.input"].get_socket().close()
        raise LookupError("on purpose")

    server = serve(application, log_format="%(status_code)s")
    client = server.connect()
    client.send(GET)
    assert client.rest() == b""
    lines = server.log.getvalue().splitlines()
    assert lines[-2:] == ["LookupError: on purpose", "500"]


class Full:
    """A log on a full disk."""

    def write(self, text):
        """Fail."""
        raise OSError(28, "No space left on device")


class Broken(logging.Logger):
    """A logger whose handlers fail."""

    def info(self, *args):
        """Fail."""
        raise ValueError("I/O operation on closed file")

    debug = info


@pytest.mark.parametrize("log", [Full(), Broken("broken")], ids=["file", "logger"])
def test_log_that_cannot_be_written_ends_nothing(serve, protocol, log):
    def application(environ, start_response):
        if environ["PATH_INFO"] == "/fail":
            raise RuntimeError("on purpose")
        return hello(environ, start_response)

    server = serve(application, protocol=protocol, log=log)
    for path, status in ((b"/", "200"), (b"/fail", "500"), (b"//bad#", "400")):
        request = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path
        assert server.ask(request)[0].split()[1] == status
    assert server.ask(GET)[2] == b"hello"
    server.thread.kill(KeyboardInterrupt)
    assert server.thread.wait() is None
