"""Promises of `eventlet.backdoor`."""

# ruff: noqa: D102 - what the client does is in the names

from __future__ import annotations

import sys

import pytest

import eventlet
from eventlet import backdoor
from eventlet.green import socket


class Client:
    """Someone at a backdoor's prompt."""

    def __init__(self, address, family=socket.AF_INET):
        self.sock = eventlet.connect(address, family=family)
        self.file = self.sock.makefile("rw")

    def until_prompt(self):
        read = ""
        with eventlet.Timeout(10):
            while not read.endswith(">>> "):
                read += self.file.read(1)
        return read[: -len(">>> ")]

    def ask(self, line):
        self.file.write(line + "\n")
        self.file.flush()
        return self.until_prompt()

    def close(self):
        self.file.close()
        self.sock.close()


@pytest.fixture
def serve():
    """Run a backdoor; the function returned connects to it."""
    running = []

    def start(names=None):
        listener = eventlet.listen(("127.0.0.1", 0))
        running.append(eventlet.spawn(backdoor.backdoor_server, listener, names))

        def enter():
            client = Client(listener.getsockname())
            running.append(client)
            return client

        return enter

    yield start
    for thing in running:
        thing.close() if isinstance(thing, Client) else thing.kill()
    with eventlet.Timeout(10):
        while backdoor._Router._consoles:
            eventlet.sleep(0)


def test_prompt_greets_and_evaluates(serve):
    client = serve()()
    greeting = client.until_prompt()
    assert greeting.startswith("Python ")
    assert "InteractiveConsole" in greeting
    assert client.ask("6 * 7") == "42\n"
    assert client.ask("print('hi')") == "hi\n"


def test_prompt_works_in_the_namespace_it_was_given(serve):
    names = {"answer": 42}
    client = serve(names)()
    client.until_prompt()
    assert client.ask("answer") == "42\n"
    client.ask("answer = 43")
    assert names["answer"] == 43


def test_failures_are_shown_at_the_prompt(serve):
    client = serve()()
    client.until_prompt()
    assert "ZeroDivisionError" in client.ask("1 / 0")
    assert client.ask("1") == "1\n"


def test_output_of_the_program_does_not_reach_the_prompt(serve, capsys):
    """Even while code typed at the prompt waits."""
    go = eventlet.Event()
    client = serve({"go": go})()
    client.until_prompt()
    client.file.write("go.wait(); print('from the prompt')\n")
    client.file.flush()
    eventlet.sleep(0.01)
    print("from the program")
    go.send()
    assert client.until_prompt().splitlines()[-1] == "from the prompt"
    assert "from the program" in capsys.readouterr().out


def test_prompts_are_separate(serve):
    enter = serve()
    first, second = enter(), enter()
    first.until_prompt()
    second.until_prompt()
    assert first.ask("print('one')") == "one\n"
    assert second.ask("print('two')") == "two\n"


def test_exit_ends_the_session_and_not_the_program(serve):
    enter = serve()
    client = enter()
    client.until_prompt()
    client.file.write("exit()\n")
    client.file.flush()
    with eventlet.Timeout(10):
        client.file.read()
    again = enter()
    again.until_prompt()
    assert again.ask("1") == "1\n"


def test_streams_are_the_usual_ones_again_after_the_last_session(serve):
    usual = sys.stdin, sys.stdout, sys.stderr
    client = serve()()
    client.until_prompt()
    client.close()
    with eventlet.Timeout(10):
        while backdoor._Router._consoles:
            eventlet.sleep(0)
    assert (sys.stdin, sys.stdout, sys.stderr) == usual


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("/run/x", "/run/x"),
        ("", "unix socket"),
    ],
)
def test_addresses_are_readable(address, expected):
    assert backdoor._readable(address) == expected
