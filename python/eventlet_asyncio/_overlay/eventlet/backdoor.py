"""
A Python prompt inside a running process, reachable by ``telnet``.

Each connection gets an `InteractiveConsole` in a greenlet of its own. What it
prints must go to its connection, and what the rest of the program prints must
not, although the console's code may wait and others run meanwhile. Green threads
switch to each other directly, with no hook to exchange ``sys.stdout`` at, so the
standard streams are replaced once, while there are consoles, by objects that
look at who is writing.
"""

from __future__ import annotations

import errno
import sys
from code import InteractiveConsole
from contextlib import suppress
from typing import Any, ClassVar

from eventlet.hubs import get_hub
from eventlet.support import get_errno, greenlets

__all__ = ["InteractiveConsole", "backdoor", "backdoor_server", "get_errno"]

_STREAMS = ("stdin", "stdout", "stderr")


class FileProxy:
    """A connection's file made fit to be a terminal: flushed, with plain line ends."""

    def __init__(self, f: Any) -> None:
        self.f = f

    def __getattr__(self, attr: str) -> Any:
        if attr == "f":
            raise AttributeError(attr)
        return getattr(self.f, attr)

    def isatty(self) -> bool:
        """Say that somebody is typing."""
        return True

    def flush(self) -> None:
        """Send what was written so far. Switch point if the client reads slowly."""
        self.f.flush()

    def write(self, data: str, *a: Any, **kw: Any) -> None:
        """Send text at once. Switch point if the client reads slowly."""
        self.f.write(data, *a, **kw)
        self.f.flush()

    def readline(self, *a: Any) -> Any:
        r"""Wait for a line; telnet's ``\r\n`` becomes ``\n``. Switch point."""
        return self.f.readline(*a).replace("\r\n", "\n")


class SocketConsole(greenlets.greenlet):
    """
    A console on a connection.

    Args:
        desc: The connection's file, opened for reading and writing text.
        hostport: The client's address, for messages.
        locals: The namespace the console works in.
    """

    def __init__(self, desc: Any, hostport: Any, locals: dict[str, Any]) -> None:
        self.hostport = hostport
        self.locals = locals
        self.desc = FileProxy(desc)
        self._connection: Any = None
        # Its end must lead back to the hub, whoever made it.
        super().__init__(None, get_hub().greenlet)

    def run(self) -> None:
        """Serve the prompt until the client leaves."""
        _Router.attach(self, self.desc)
        try:
            console = InteractiveConsole(self.locals)
            console.interact()
        except SystemExit:
            # exit() at the prompt: the end of the session, not of the program.
            pass
        except (OSError, ValueError):
            # The client is gone, in the middle of something.
            pass
        finally:
            _Router.detach(self)
            self.finalize()

    def switch_out(self) -> None:
        """Send what was written so far: for a hub that is about to switch away."""
        self.desc.flush()

    def finalize(self) -> None:
        """Close the connection's file."""
        with suppress(OSError, ValueError):
            self.desc.close()
        if self._connection is not None:
            self._connection.close()
        _say(f"backdoor closed to {_readable(self.hostport)}")


class _Router:
    """
    A standard stream that is the console's to a console, the usual to others.

    There is one for each of the three, in place while any console is open.
    """

    _consoles: ClassVar[dict[Any, FileProxy]] = {}

    def __init__(self, name: str) -> None:
        self._name = name
        self._usual = getattr(sys, name)

    def __getattr__(self, attr: str) -> Any:
        if attr in ("_name", "_usual"):
            raise AttributeError(attr)
        target = self._consoles.get(greenlets.getcurrent(), self._usual)
        return getattr(target, attr)

    def __iter__(self) -> Any:
        return iter(self.readline, "")

    @classmethod
    def attach(cls, console: Any, stream: FileProxy) -> None:
        if not cls._consoles:
            for name in _STREAMS:
                setattr(sys, name, cls(name))
        cls._consoles[console] = stream

    @classmethod
    def detach(cls, console: Any) -> None:
        cls._consoles.pop(console, None)
        if not cls._consoles:
            for name in _STREAMS:
                # Somebody else may have replaced ours meanwhile: then it stays,
                # and leads to the usual one.
                router = getattr(sys, name)
                if isinstance(router, cls):
                    setattr(sys, name, router._usual)


def backdoor_server(sock: Any, locals: dict[str, Any] | None = None) -> None:
    """
    Accept connections for ever and give each a Python prompt.

    Whoever connects can do anything the process can: listen on localhost, or on
    a unix socket with tight permissions. Always a switch point.

    Args:
        sock: The listening socket.
        locals: The namespace of the prompts, shared by all of them.
    """
    _say(f"backdoor server listening on {_readable(sock.getsockname())}")
    try:
        while True:
            try:
                connection = sock.accept()
            except OSError as error:
                # The client was gone before it was accepted.
                if get_errno(error) not in (errno.EPIPE, errno.ECONNABORTED):
                    raise
            else:
                backdoor(connection, locals)
    finally:
        sock.close()


def backdoor(conn_info: tuple[Any, Any], locals: dict[str, Any] | None = None) -> None:
    """
    Give one connection a Python prompt, and return at once.

    Args:
        conn_info: The connection and the client's address, as ``accept`` gives
            them.
        locals: The namespace of the prompt.
    """
    connection, address = conn_info
    _say(f"backdoor to {_readable(address)}")
    stream = connection.makefile("rw")
    console = SocketConsole(stream, address, {} if locals is None else locals)
    console._connection = connection
    get_hub().schedule_call_global(0, console.switch)


def _readable(address: Any) -> str:
    """Describe the address of a TCP or unix socket."""
    if isinstance(address, tuple) and len(address) >= 2:
        host = f"[{address[0]}]" if ":" in str(address[0]) else address[0]
        return f"{host}:{address[1]}"
    return str(address) or "unix socket"


def _say(text: str) -> None:
    print(text)  # noqa: T201 - an operator at the terminal should see who comes
