"""The module `OpenSSL.SSL` (pyOpenSSL) on green sockets."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

import OpenSSL.SSL as _ssl
from OpenSSL.SSL import *

from eventlet import greenio
from eventlet.hubs import trampoline
from eventlet.support import get_errno

if TYPE_CHECKING:
    from collections.abc import Callable

    def __getattr__(name: str) -> Any:
        """Stand for whatever the installed pyOpenSSL offers."""


_Connection = _ssl.Connection
Error, SysCallError = _ssl.Error, _ssl.SysCallError
WantReadError, WantWriteError = _ssl.WantReadError, _ssl.WantWriteError
ZeroReturnError = _ssl.ZeroReturnError


class GreenConnection(greenio.GreenSocket):
    """
    An SSL connection on which waiting lets other green threads run.

    Offers what `OpenSSL.SSL.Connection` does.

    Args:
        ctx: The `Context`, or a `Connection` to take over.
        sock: The connected socket, plain or green.
    """

    def __init__(self, ctx: Any, sock: Any = None) -> None:
        if isinstance(ctx, (_Connection, GreenConnection)):
            super().__init__(ctx)
            return
        real = getattr(sock, "fd", sock)
        self._below = real
        super().__init__(_View(_Connection(ctx, real), real))
        if sock is not None:
            self.settimeout(sock.gettimeout() or None)

    def __getattr__(self, name: str) -> Any:
        # What needs no waiting is the business of the real connection.
        if name.startswith("__") or self.fd is None:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(self.fd, name)

    def _until(self, call: Callable[..., Any], *args: Any) -> Any:
        """Repeat `call` until the protocol has what it needs."""
        if self.act_non_blocking:
            return call(*args)
        while True:
            try:
                return call(*args)
            except WantReadError:
                write = False
            except WantWriteError:
                write = True
            fd = self.fileno()
            trampoline(
                fd,
                read=not write,
                write=write,
                timeout=self.gettimeout(),
                timeout_exc=greenio.socket_timeout("timed out"),
            )
            if self.fileno() != fd:
                # Closed before its turn came: the protocol goes by a number that may
                # be another file's by now.
                raise OSError(errno.EBADF, "the socket was closed meanwhile")

    def accept(self) -> tuple[GreenConnection, Any]:
        """
        Return a new connection and the address of its peer. Switch point.
        """
        while True:
            accepted = greenio.base.socket_accept(self._below)
            if accepted is not None:
                break
            if self.act_non_blocking:
                raise BlockingIOError(errno.EAGAIN, "nobody connects")
            self._wait()
        client, address = accepted
        client.setblocking(False)
        new = type(self)(self.fd.get_context(), client)
        new.set_accept_state()
        return new, address

    def connect(self, address: Any) -> None:
        """
        Connect to `address`. Switch point.
        """
        super().connect(address)
        self.set_connect_state()

    def connect_ex(self, address: Any) -> int:
        """
        Connect to `address` and return the error number. Switch point.
        """
        err = super().connect_ex(address)
        if not err:
            self.set_connect_state()
        return err

    def do_handshake(self) -> None:
        """
        Negotiate the connection. Switch point.
        """
        self._until(self.fd.do_handshake)

    def dup(self) -> Any:
        """
        Refuse: the protocol has one state, which cannot be shared.
        """
        message = "Dup not supported on SSL sockets"
        raise NotImplementedError(message)

    def makefile(self, mode: str = "r", bufsize: int = -1) -> Any:
        """
        Refuse, as pyOpenSSL does.
        """
        message = "Makefile not supported on SSL sockets"
        raise NotImplementedError(message)

    def read(self, size: int) -> bytes:
        """
        Return up to `size` bytes, b"" at the end of the stream. Switch point.
        """
        try:
            return self._until(self.fd.read, size)
        except ZeroReturnError:
            return b""
        except SysCallError as error:
            if error.args[0] == -1 or error.args[0] > 0:
                return b""
            raise

    recv = read

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """
        Read into `buffer` and return the number of bytes. Switch point.
        """
        try:
            return self._until(self.fd.recv_into, buffer, nbytes or None)
        except ZeroReturnError:
            return 0

    def write(self, data: Any) -> int:
        """
        Send some of `data` and return how many bytes were taken. Switch point.
        """
        if not data:
            return 0
        return self._until(self.fd.write, data)

    send = write

    def sendall(self, data: Any) -> None:  # type: ignore[override]
        """
        Send all of `data`. Switch point.
        """
        view = memoryview(data).cast("B")
        sent = 0
        while sent < len(view):
            sent += self.write(bytes(view[sent : sent + 16384]))

    def shutdown(self) -> bool:  # type: ignore[override]
        """
        End the protocol: send the notice, and wait for the peer's. Switch point.
        """
        return self._until(self.fd.shutdown)


class _View:
    """A pyOpenSSL connection with what a green socket asks of the socket below it."""

    def __init__(self, connection: Any, real: Any) -> None:
        self._connection = connection
        self._real = real
        self.connect_ex = real.connect_ex if real is not None else None
        self.family = real.family if real is not None else 0

    def fileno(self) -> int:
        return self._real.fileno()

    def gettimeout(self) -> Any:
        return self._real.gettimeout()

    def setblocking(self, flag: Any) -> None:
        self._real.setblocking(flag)

    def close(self) -> None:
        self._real.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


Connection = ConnectionType = GreenConnection
