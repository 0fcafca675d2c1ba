"""The programs of the documentation do what their pages say."""

from __future__ import annotations

import re
from pathlib import Path

from tests.wsgi.applications import GET, hello

import eventlet
from eventlet.green import socket, ssl

DOCS = Path(__file__).parents[2] / "docs"


def test_wsgi_server_answers_and_ends(run_isolated):
    """It serves its clients, and stops in good order."""
    done = run_isolated(DOCS / "howto" / "wsgi_server.py", {"EVENTLET_HUB": "asyncio"})
    lines = done.stdout.splitlines()
    assert [line for line in lines if line.startswith("GET ")] == [
        "GET /one", "GET /two", "GET /three",
    ]  # fmt: skip
    assert lines[-1].endswith("wsgi exited, is_accepting=True")


def test_listeners_of_the_page_are_served(serve, tmp_path):
    """The two kinds of listening sockets that it shows, at addresses free to tests."""
    page = (DOCS / "howto" / "serve-wsgi.md").read_text()
    (block,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    data = DOCS.parent / "tests" / "data"
    for shown, here in {
        "8443": "0",
        "server.crt": f"{data}/localhost.crt",
        "server.key": f"{data}/localhost.key",
        "/run/service.sock": f"{tmp_path}/service.sock",
    }.items():
        assert shown in block
        block = block.replace(shown, here)
    tls, unix = block.split("listener = ")[1:]
    names = {"eventlet": eventlet, "socket": socket}
    served = serve(hello, sock=eval(unix, names), family=socket.AF_UNIX)
    assert served.ask(GET)[2] == b"hello"
    served = serve(hello, sock=eval(tls, names))
    client = served.connect()
    client.sock = ssl.wrap_socket(client.sock)
    assert client.ask(GET)[2] == b"hello"


def test_security_page_names_tests_that_exist():
    """What the table promises is tested under the name it gives, in the file it gives."""
    page = (DOCS / "reference" / "http-security.md").read_text()
    rows = [row for row in page.splitlines() if row.startswith("| ")][2:]
    assert len(rows) > 20
    for row in rows:
        named = re.findall(r"(?:`(test_\w+\.py)`: )?`(test_\w+)`", row)
        programs = re.findall(r"`(tests/isolated/\w+\.py)`", row)
        assert named or programs, f"{row} names no test"
        for file, name in named:
            source = Path(__file__).with_name(file or "test_security.py").read_text()
            assert f"def {name}(" in source, name
        assert all((DOCS.parent / program).exists() for program in programs)
