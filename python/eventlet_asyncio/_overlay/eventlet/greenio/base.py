"""
Green sockets.

A `GreenSocket` holds a real socket in non-blocking mode and makes every call on that.
The system call comes first; only if it would block does the green thread park until
the hub reports the descriptor ready. The two directions of bytes, which are most of the
traffic, go through native functions that do both without returning to Python between.

The hub knows descriptors, never sockets, so it keeps none alive. In return it has to be
told when a number changes hands: by `notify_opened` for a new descriptor, and by
`notify_close` before one is closed, which wakes whoever waits on it with an error. The
real sockets made here do the latter themselves, whichever way they are closed.
"""

from __future__ import annotations

import errno
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from eventlet import hubs
from eventlet.greenio.real import (
    _GLOBAL_DEFAULT_TIMEOUT,
    CONNECT_ERR,
    CONNECT_SUCCESS,
    DEFAULT_FAMILY,
    SOCKET_BLOCKING,
    SOCKET_CLOSED,
    HubSocket,
    RealSocket,
    connect_waiting,
    forget,
    kind_of,
    os_module,
    resolved,
    set_nonblocking,
    shutdown_safe,
    socket_accept,
    socket_checkerr,
    socket_connect,
    socket_module,
    socket_timeout,
)
from eventlet.greenio.sendfile import Sendfile
from eventlet.greenio.timeouts import Timeouts
from eventlet.greenio.whole import MSG_PEEK, MSG_WAITALL, Whole
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CONNECT_ERR",
    "CONNECT_SUCCESS",
    "SOCKET_BLOCKING",
    "SOCKET_CLOSED",
    "_GLOBAL_DEFAULT_TIMEOUT",
    "GreenSocket",
    "set_nonblocking",
    "shutdown_safe",
    "socket_accept",
    "socket_checkerr",
    "socket_connect",
    "socket_timeout",
]

_SHUT_WR = socket_module.SHUT_WR
# As how many operations an accepted connection counts.
_ACCEPTED = 8
_AF_UNIX = getattr(socket_module, "AF_UNIX", None)
_MSG_DONTWAIT = int(getattr(socket_module, "MSG_DONTWAIT", 0))


class GreenSocket(Timeouts, Sendfile, Whole):
    """
    A socket on which waiting lets other green threads run.

    Offers what `socket.socket` does. `fd` is the real socket below.
    """

    # Of the class, so that an instance whose `__init__` never ran can be thrown away.
    fd: Any = None
    _closed = False
    _io_refs = 0

    def __init__(self, family: Any = DEFAULT_FAMILY, *args: Any, **kwargs: Any) -> None:
        """
        Make a socket, or a green one of an existing socket.

        Args:
            family: An address family, or a socket to take over. The rest is then not
                used, and the timeout of that socket holds.
            args: `type`, `proto` and `fileno` as for `socket.socket`.
            kwargs: The same by name; `set_nonblocking=False` leaves the mode of the
                descriptor alone.
        """
        should_set_nonblocking = kwargs.pop("set_nonblocking", True)
        if isinstance(family, int):
            if kwargs.get("fileno") is not None and family == DEFAULT_FAMILY:
                family = -1  # ask the descriptor
            fd = HubSocket(family, *args, **kwargs)
            # The default timeout, or 0 for a socket asked to be non-blocking.
            timeout = fd.gettimeout()
        else:
            fd = family.fd if isinstance(family, GreenSocket) else family
            timeout = family.gettimeout() or socket_module.getdefaulttimeout()
        self.fd = fd
        self._timeout = timeout
        self.act_non_blocking = timeout == 0
        if should_set_nonblocking:
            set_nonblocking(fd)
        self._fileno = fd.fileno
        hubs.notify_opened(fd.fileno())

    def __repr__(self) -> str:
        inner = repr(self.fd).partition(" ")[2].rstrip(">")
        kind = type(self)
        return f"<{kind.__module__}.{kind.__qualname__} {inner}>"

    def __enter__(self) -> GreenSocket:
        return self

    def __exit__(self, *args: object) -> None:
        self.close()

    def __getstate__(self) -> Any:
        message = f"cannot pickle {type(self).__name__!r} object"
        raise TypeError(message)

    @property
    def _sock(self) -> GreenSocket:
        return self

    @property
    def timeout(self) -> float | None:
        """
        What `gettimeout` returns.
        """
        return self.gettimeout()

    # Waiting

    def _wait(self, *, write: bool = False) -> None:
        fd = self._fileno()
        if fd < 0:
            raise OSError(errno.EBADF, os_module.strerror(errno.EBADF))
        hubs.trampoline(
            fd,
            read=not write,
            write=write,
            timeout=self._timeout,
            timeout_exc=socket_timeout("timed out"),
        )

    def _trampoline(
        self,
        fd: int,
        read: bool = False,
        write: bool = False,
        timeout: float | None = None,
        timeout_exc: Any = None,
    ) -> Any:
        return hubs.trampoline(
            fd, read=read, write=write, timeout=timeout, timeout_exc=timeout_exc
        )

    def _until_ready(
        self, call: Callable[..., Any], *args: Any, write: bool, flags: int = 0
    ) -> Any:
        """Repeat `call` until it does not fail for want of readiness."""
        if self.act_non_blocking or flags & _MSG_DONTWAIT:
            return call(*args)
        pay_operation()
        while True:
            try:
                return call(*args)
            except BlockingIOError:
                self._wait(write=write)

    # Connections

    def accept(self) -> tuple[GreenSocket, Any]:
        """
        Return a new connection and the address of its peer. Switch point.

        Raises:
            TimeoutError: If the timeout passes first.
        """
        if not self.act_non_blocking:
            # Clients may come faster than they are served, and each has work done for it.
            pay_operation(_ACCEPTED)
        fd = self.fd
        while True:
            accepted = socket_accept(fd)
            if accepted is not None:
                client, address = accepted
                set_nonblocking(client)
                return self._green(client), address
            if self.act_non_blocking:
                raise BlockingIOError(errno.EAGAIN, os_module.strerror(errno.EAGAIN))
            self._wait()

    def _green(self, real: Any) -> GreenSocket:
        return type(self)(real, set_nonblocking=False)

    def connect(self, address: Any) -> None:
        """
        Connect to `address`. Switch point.

        A host name is resolved by the green resolver first.

        Raises:
            TimeoutError: If the timeout passes first.
            OSError: If the connection fails.
        """
        if self.act_non_blocking:
            self.fd.connect(address)
            return
        self._connect(self._resolved(address))

    def _connect(self, address: Any) -> None:
        connect_waiting(self.fd, self.fd.connect_ex, address, self._timeout)

    def connect_ex(self, address: Any) -> int:
        """
        Connect to `address` and return the error number, 0 for success. Switch point.

        A timeout gives `EAGAIN`.
        """
        if self.act_non_blocking:
            return self.fd.connect_ex(address)
        try:
            self._connect(self._resolved(address))
        except socket_timeout:
            return errno.EAGAIN
        except socket_module.gaierror:
            raise
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0

    def _resolved(self, address: Any) -> Any:
        return resolved(address, *kind_of(self.fd))

    # Bytes in

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """
        Return up to `bufsize` bytes, b"" at the end of the stream. Switch point.

        Raises:
            TimeoutError: If the timeout passes first.
        """
        if self.act_non_blocking or flags & _MSG_DONTWAIT:
            return self.fd.recv(bufsize, flags)
        if bufsize == 0:
            self._await_byte(flags)
            return self.fd.recv(0, flags)
        if flags & MSG_WAITALL and bufsize > 0 and self._waits_for_all(flags):
            buffer = bytearray(bufsize)
            return bytes(buffer[: self.recv_into(buffer, bufsize, flags)])
        try:
            return _sock_recv(self._fileno(), bufsize, flags, self._timeout)
        except ConnectionResetError:
            # As upstream has it: a peer that is gone has nothing more to say.
            return b""

    def recv_into(self, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
        """
        Read into `buffer` and return the number of bytes. Switch point.

        Args:
            nbytes: How many at most; as many as there is room for if 0.
        """
        if self.act_non_blocking or flags & _MSG_DONTWAIT:
            return self.fd.recv_into(buffer, nbytes, flags)
        if nbytes == 0 and not len(buffer):
            self._await_byte(flags)
            return self.fd.recv_into(buffer, nbytes, flags)
        if flags & MSG_WAITALL and self._waits_for_all(flags):
            return self._fill(buffer, nbytes, flags & ~MSG_WAITALL)
        try:
            return _sock_recv_into(self._fileno(), buffer, nbytes, flags, self._timeout)
        except ConnectionResetError:
            return 0
        except BufferError as error:
            raise TypeError(f"recv_into() needs a writable buffer: {error}") from None

    def _await_byte(self, flags: int) -> None:
        """
        Wait until there is something to read.

        Reading zero bytes succeeds on a non-blocking stream whatever its state, and
        waits on a blocking one.
        """
        _sock_recv(self._fileno(), 1, flags | MSG_PEEK, self._timeout)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """
        Return a datagram and its sender. Switch point.
        """
        return self._until_ready(
            self.fd.recvfrom, bufsize, flags, write=False, flags=flags
        )

    def recvfrom_into(
        self, buffer: Any, nbytes: int = 0, flags: int = 0
    ) -> tuple[int, Any]:
        """
        Read a datagram into `buffer`; return its size and sender. Switch point.
        """
        return self._until_ready(
            self.fd.recvfrom_into, buffer, nbytes, flags, write=False, flags=flags
        )

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> Any:
        """
        Return data, ancillary data, flags and sender. Switch point.
        """
        return self._until_ready(
            self.fd.recvmsg, bufsize, ancbufsize, flags, write=False, flags=flags
        )

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> Any:
        """
        Read into several buffers, as `recvmsg` does. Switch point.
        """
        buffers = list(buffers)
        return self._until_ready(
            self.fd.recvmsg_into, buffers, ancbufsize, flags, write=False, flags=flags
        )

    # Bytes out

    def send(self, data: Any, flags: int = 0) -> int:
        """
        Send some of `data` and return how many bytes were taken. Switch point.
        """
        if self.act_non_blocking or flags & _MSG_DONTWAIT:
            return self.fd.send(data, flags)
        return _sock_send(self._fileno(), data, flags, self._timeout)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """
        Send all of `data`. Switch point.

        Raises:
            TimeoutError: If the timeout passes first; how much was sent is unknown.
        """
        if self.act_non_blocking or flags & _MSG_DONTWAIT:
            self.fd.sendall(data, flags)
        else:
            _sock_sendall(self._fileno(), data, flags, self._timeout)

    def sendto(self, data: Any, *args: Any) -> int:
        """
        Send a datagram: `sendto(data, address)` or `sendto(data, flags, address)`.

        Switch point.
        """
        flags = args[0] if len(args) > 1 and isinstance(args[0], int) else 0
        return self._until_ready(self.fd.sendto, data, *args, write=True, flags=flags)

    def sendmsg(
        self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None
    ) -> int:
        """
        Send several buffers with ancillary data. Switch point.
        """
        buffers, ancdata = list(buffers), list(ancdata)
        rest = (ancdata, flags) if address is None else (ancdata, flags, address)
        return self._until_ready(
            self.fd.sendmsg, buffers, *rest, write=True, flags=flags
        )

    # Files and descriptors

    def fileno(self) -> int:
        """
        Return the descriptor, -1 if the socket is closed.
        """
        return self.fd.fileno()

    def makefile(self, *args: Any, **kwargs: Any) -> Any:
        """
        Return a file object of the socket, as `socket.socket.makefile` does.

        The descriptor stays open until the file is closed as well.
        """
        return RealSocket.makefile(self, *args, **kwargs)

    def makeGreenFile(self, *args: Any, **kw: Any) -> Any:
        """
        Return what `makefile` does.
        """
        return self.makefile(*args, **kw)

    def dup(self, *args: Any, **kw: Any) -> GreenSocket:
        """
        Return a socket of its own for the same connection, with the same timeout.
        """
        fd = os_module.dup(self.fileno(), *args, **kw)
        real = HubSocket(*kind_of(self.fd), fileno=fd)
        new = self._green(real)
        new.settimeout(self.gettimeout())
        return new

    def shutdown(self, how: int) -> Any:
        """
        End one or both directions; whoever waits for it goes on.
        """
        self.fd.shutdown(how)
        if how == _SHUT_WR and kind_of(self.fd)[0] == _AF_UNIX:
            # The one case that is no event: a writer would wait for the peer.
            hubs.get_hub()._writers_look_again(self._fileno())

    def close(self) -> None:
        """
        Close the socket; whoever waits on it gets an error at once.

        The descriptor stays open for files made by `makefile`.
        """
        self._closed = True
        if self._io_refs <= 0:
            self._real_close()

    def _real_close(self) -> None:
        fd = self.fd
        if fd is not None:
            if not isinstance(fd, HubSocket):
                forget(fd)
            fd.close()

    def _decref_socketios(self) -> None:
        if self._io_refs > 0:
            self._io_refs -= 1
        if self._closed:
            self.close()

    def detach(self) -> int:
        """
        Give the descriptor away and return its number.
        """
        self._closed = True
        fd = self.fd
        if not isinstance(fd, HubSocket):
            forget(fd)
        return fd.detach()


pay_operation = _core.pay_operation
_sock_recv = _core.sock_recv
_sock_recv_into = _core.sock_recv_into
_sock_send = _core.sock_send
_sock_sendall = _core.sock_sendall


class _Delegated:
    """
    A name that needs no waiting and so is the business of the real socket.

    One for each name, where `__getattr__` would do for all: a class that has it pays for
    it at every attribute, also for those it defines itself. Not a property, since
    applications replace methods of single sockets.
    """

    __slots__ = ("_get",)

    def __init__(self, name: str) -> None:
        self._get = attrgetter(f"fd.{name}")

    def __get__(self, sock: Any, owner: Any = None) -> Any:
        return self if sock is None else self._get(sock)


for _name in dir(RealSocket):
    if not _name.startswith("__") and not hasattr(GreenSocket, _name):
        setattr(GreenSocket, _name, _Delegated(_name))
