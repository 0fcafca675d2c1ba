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
from typing import TYPE_CHECKING, Any

from eventlet import hubs
from eventlet._patch.originals import original
from eventlet_asyncio import _core

if TYPE_CHECKING:
    from collections.abc import Callable

_socket_module = original("socket")
_os = original("os")
_time = original("time")
_real_socket = _socket_module.socket
_GLOBAL_DEFAULT_TIMEOUT = _socket_module._GLOBAL_DEFAULT_TIMEOUT

SOCKET_BLOCKING = {errno.EAGAIN, errno.EWOULDBLOCK}
SOCKET_CLOSED = {errno.ECONNRESET, errno.ENOTCONN, errno.ESHUTDOWN, errno.EPIPE}
CONNECT_ERR = {errno.EINPROGRESS, errno.EALREADY, errno.EWOULDBLOCK}
CONNECT_SUCCESS = {0, errno.EISCONN}

socket_timeout = TimeoutError

_DEFAULT_FAMILY = _socket_module.AF_INET
_INTERNET = (_socket_module.AF_INET, getattr(_socket_module, "AF_INET6", -1))
_MSG_PEEK = _socket_module.MSG_PEEK
_SENDFILE_BLOCK = 1 << 23
# A full queue of a local listener gives no event to wait for: seconds between attempts.
_BACKLOG_RETRY = 0.005

# The descriptors of `_socket.socket`: the properties of the class above it turn each
# number into an enumeration member, which costs more than the accept around it.
_plain = _real_socket.__mro__[1]
_family, _type, _proto = (vars(_plain)[n].__get__ for n in ("family", "type", "proto"))


class HubSocket(_real_socket):  # type: ignore[misc,valid-type]
    """
    A real socket that tells the hub before its descriptor is gone.
    """

    __slots__ = ()

    def _real_close(self, _ss: Any = _plain) -> None:
        fd = self.fileno()
        if fd >= 0:
            hubs.notify_close(fd)
        super()._real_close(_ss)

    def detach(self) -> int:
        """
        Give the descriptor away, and the hub's knowledge of it up.
        """
        fd = self.fileno()
        if fd >= 0:
            hubs.notify_close(fd)
        return super().detach()

    def __del__(self) -> None:
        try:
            fd = self.fileno()
            if fd >= 0:
                hubs.notify_close(fd)
        finally:
            super().__del__()


def set_nonblocking(fd: Any) -> None:
    """
    Put a socket, or another object with a descriptor, into non-blocking mode.

    Raises:
        AttributeError: If it has neither `setblocking` nor `fileno`.
    """
    try:
        setblocking = fd.setblocking
    except AttributeError:
        _os.set_blocking(fd.fileno(), False)
    else:
        setblocking(0)


def shutdown_safe(sock: Any) -> None:
    """
    Shut down both directions of `sock`, whether or not it is connected or open.

    Works for plain, SSL and pyOpenSSL sockets. Not a switch point for the first.
    """
    try:
        try:
            sock.shutdown(_socket_module.SHUT_RDWR)
        except TypeError:
            # pyOpenSSL's takes no argument.
            sock.shutdown()
    except OSError as error:
        if error.errno not in (
            errno.ENOTCONN,
            errno.EBADF,
            errno.ENOTSOCK,
            errno.EPIPE,
        ):
            raise


def socket_connect(descriptor: Any, address: Any) -> Any:
    """
    Try to connect the real socket `descriptor`, without waiting.

    Returns:
        The socket if it is connected, None if that is under way.

    Raises:
        OSError: If it failed.
    """
    err = descriptor.connect_ex(address)
    if err in CONNECT_ERR:
        return None
    if err not in CONNECT_SUCCESS:
        raise OSError(err, errno.errorcode.get(err, "") and _os.strerror(err))
    return descriptor


def socket_checkerr(descriptor: Any) -> None:
    """
    Raise the error that the real socket `descriptor` has pending, if there is one.
    """
    err = descriptor.getsockopt(_socket_module.SOL_SOCKET, _socket_module.SO_ERROR)
    if err not in CONNECT_SUCCESS:
        raise OSError(err, _os.strerror(err))


def socket_accept(descriptor: Any) -> Any:
    """
    Accept a connection on the real socket `descriptor`, without waiting.

    Returns:
        The new real socket and the address of its peer, None if nobody connects.
    """
    try:
        fd, address = descriptor._accept()
    except BlockingIOError:
        return None
    family = _family(descriptor)
    new = HubSocket(family, _type(descriptor), _proto(descriptor), fileno=fd)
    return new, address


def connect_waiting(
    sock: Any, connect_ex: Callable[[Any], int], address: Any, timeout: float | None
) -> None:
    """
    Connect the real socket `sock` by its `connect_ex`. Switch point.

    Raises:
        TimeoutError: If it is not connected after `timeout` seconds.
        OSError: If it failed.
    """
    end = None if timeout is None else _time.monotonic() + timeout
    while True:
        err = connect_ex(address)
        if err in CONNECT_SUCCESS:
            return
        left = None if end is None else end - _time.monotonic()
        if err == errno.EAGAIN and sock.family == _socket_module.AF_UNIX:
            if left is not None and left <= 0:
                raise socket_timeout("timed out")
            _sleep(_BACKLOG_RETRY)
            continue
        if err not in CONNECT_ERR:
            raise OSError(err, _os.strerror(err))
        hubs.trampoline(
            sock.fileno(),
            write=True,
            timeout=None if left is None else max(left, 0),
            timeout_exc=socket_timeout("timed out"),
        )
        socket_checkerr(sock)


def resolved(address: Any, family: int, kind: int, proto: int) -> Any:
    """
    Return `address` with its host name, if it is one, looked up. Switch point then.

    Raises:
        OSError: `socket.gaierror` if the host is unknown.
    """
    if family not in _INTERNET or not isinstance(address, tuple) or not address:
        return address
    host = address[0]
    if isinstance(host, (bytes, bytearray)):
        host = host.decode("ascii", "surrogateescape")
    # No host, or broadcast: the socket knows. An address needs no resolving.
    if not isinstance(host, str) or not host or host[0] in "<:" or "%" in host:
        return address
    try:
        _socket_module.inet_pton(family, host)
    except (OSError, ValueError):
        pass
    else:
        return address
    from eventlet.green import socket

    found = socket.getaddrinfo(host, None, family, kind, proto)
    return (found[0][4][0], *address[1:])


def _check_timeout(howlong: Any) -> float:
    convert = getattr(howlong, "__float__", None) or getattr(howlong, "__index__", None)
    if convert is None:
        message = f"a number is required for a timeout, not {type(howlong).__name__}"
        raise TypeError(message)
    seconds = float(convert())
    if not seconds >= 0:
        message = "Timeout value out of range"
        raise ValueError(message)
    if seconds > _LONGEST:
        message = "timeout doesn't fit into C timeval"
        raise OverflowError(message)
    return seconds


_LONGEST = (1 << 63) / 1e9


class GreenSocket:
    """
    A socket on which waiting lets other green threads run.

    Offers what `socket.socket` does. `fd` is the real socket below.
    """

    # Of the class, so that an instance whose `__init__` never ran can be thrown away.
    fd: Any = None
    _timeout: float | None = None
    act_non_blocking = False
    _closed = False
    _io_refs = 0

    def __init__(
        self, family: Any = _DEFAULT_FAMILY, *args: Any, **kwargs: Any
    ) -> None:
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
            if kwargs.get("fileno") is not None and family == _DEFAULT_FAMILY:
                family = -1  # ask the descriptor
            fd = HubSocket(family, *args, **kwargs)
            timeout = _socket_module.getdefaulttimeout()
        else:
            fd = family.fd if isinstance(family, GreenSocket) else family
            timeout = family.gettimeout() or _socket_module.getdefaulttimeout()
        self.fd = fd
        self._timeout = timeout
        self.act_non_blocking = timeout == 0
        if should_set_nonblocking:
            set_nonblocking(fd)
        self._fileno = fd.fileno
        hubs.notify_opened(fd.fileno())

    def __getattr__(self, name: str) -> Any:
        # What needs no waiting is the business of the real socket.
        if name.startswith("__") or self.fd is None:
            message = f"{type(self).__name__!r} object has no attribute {name!r}"
            raise AttributeError(message)
        return getattr(self.fd, name)

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
            raise OSError(errno.EBADF, _os.strerror(errno.EBADF))
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

    def _until_ready(self, call: Callable[..., Any], *args: Any, write: bool) -> Any:
        """Repeat `call` until it does not fail for want of readiness."""
        if self.act_non_blocking:
            return call(*args)
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
        fd = self.fd
        while True:
            accepted = socket_accept(fd)
            if accepted is not None:
                client, address = accepted
                set_nonblocking(client)
                return self._green(client), address
            if self.act_non_blocking:
                raise BlockingIOError(errno.EAGAIN, _os.strerror(errno.EAGAIN))
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
        except _socket_module.gaierror:
            raise
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0

    def _resolved(self, address: Any) -> Any:
        return resolved(address, _family(self.fd), _type(self.fd), _proto(self.fd))

    # Bytes in

    def recv(self, bufsize: int, flags: int = 0) -> bytes:
        """
        Return up to `bufsize` bytes, b"" at the end of the stream. Switch point.

        Raises:
            TimeoutError: If the timeout passes first.
        """
        if self.act_non_blocking:
            return self.fd.recv(bufsize, flags)
        if bufsize == 0:
            self._await_byte(flags)
            return self.fd.recv(0, flags)
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
        if self.act_non_blocking:
            return self.fd.recv_into(buffer, nbytes, flags)
        if nbytes == 0 and not len(buffer):
            self._await_byte(flags)
            return self.fd.recv_into(buffer, nbytes, flags)
        try:
            return _sock_recv_into(self._fileno(), buffer, nbytes, flags, self._timeout)
        except ConnectionResetError:
            return 0

    def _await_byte(self, flags: int) -> None:
        """
        Wait until there is something to read.

        Reading zero bytes succeeds on a non-blocking stream whatever its state, and
        waits on a blocking one.
        """
        _sock_recv(self._fileno(), 1, flags | _MSG_PEEK, self._timeout)

    def recvfrom(self, bufsize: int, flags: int = 0) -> tuple[bytes, Any]:
        """
        Return a datagram and its sender. Switch point.
        """
        return self._until_ready(self.fd.recvfrom, bufsize, flags, write=False)

    def recvfrom_into(
        self, buffer: Any, nbytes: int = 0, flags: int = 0
    ) -> tuple[int, Any]:
        """
        Read a datagram into `buffer`; return its size and sender. Switch point.
        """
        return self._until_ready(
            self.fd.recvfrom_into, buffer, nbytes, flags, write=False
        )

    def recvmsg(self, bufsize: int, ancbufsize: int = 0, flags: int = 0) -> Any:
        """
        Return data, ancillary data, flags and sender. Switch point.
        """
        return self._until_ready(
            self.fd.recvmsg, bufsize, ancbufsize, flags, write=False
        )

    def recvmsg_into(self, buffers: Any, ancbufsize: int = 0, flags: int = 0) -> Any:
        """
        Read into several buffers, as `recvmsg` does. Switch point.
        """
        buffers = list(buffers)
        return self._until_ready(
            self.fd.recvmsg_into, buffers, ancbufsize, flags, write=False
        )

    # Bytes out

    def send(self, data: Any, flags: int = 0) -> int:
        """
        Send some of `data` and return how many bytes were taken. Switch point.
        """
        if self.act_non_blocking:
            return self.fd.send(data, flags)
        return _sock_send(self._fileno(), data, flags, self._timeout)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """
        Send all of `data`. Switch point.

        Raises:
            TimeoutError: If the timeout passes first; how much was sent is unknown.
        """
        if self.act_non_blocking:
            self.fd.sendall(data, flags)
        else:
            _sock_sendall(self._fileno(), data, flags, self._timeout)

    def sendto(self, data: Any, *args: Any) -> int:
        """
        Send a datagram: `sendto(data, address)` or `sendto(data, flags, address)`.

        Switch point.
        """
        return self._until_ready(self.fd.sendto, data, *args, write=True)

    def sendmsg(
        self, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None
    ) -> int:
        """
        Send several buffers with ancillary data. Switch point.
        """
        buffers, ancdata = list(buffers), list(ancdata)
        rest = (ancdata, flags) if address is None else (ancdata, flags, address)
        return self._until_ready(self.fd.sendmsg, buffers, *rest, write=True)

    def sendfile(self, file: Any, offset: int = 0, count: int | None = None) -> int:
        """
        Send a file until its end, or `count` bytes of it. Switch point.

        The system copies regular files itself; others are read and sent.

        Returns:
            The number of bytes sent.
        """
        self._check_sendfile_params(file, offset, count)
        try:
            source = file.fileno()
            size = _os.fstat(source).st_size
        except (AttributeError, OSError, ValueError):
            size = 0
        if not size:
            return self._sendfile_use_send(file, offset, count)
        total = 0
        try:
            while count is None or total < count:
                left = _SENDFILE_BLOCK if count is None else count - total
                block = min(left, _SENDFILE_BLOCK)
                try:
                    sent = self._until_ready(
                        self._sendfile_block, source, offset + total, block, write=True
                    )
                except OSError as error:
                    if total or error.errno not in (errno.EINVAL, errno.ENOSYS):
                        raise
                    return self._sendfile_use_send(file, offset, count)
                if not sent:
                    break
                total += sent
        finally:
            if total and hasattr(file, "seek"):
                file.seek(offset + total)
        return total

    def _sendfile_block(self, source: int, offset: int, count: int) -> int:
        return _os.sendfile(self.fileno(), source, offset, count)

    # Plain functions of the standard class, which call nothing but methods of `self`.
    _check_sendfile_params = _real_socket._check_sendfile_params
    _sendfile_use_send = _real_socket._sendfile_use_send

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
        return _real_socket.makefile(self, *args, **kwargs)

    def makeGreenFile(self, *args: Any, **kw: Any) -> Any:
        """
        Return what `makefile` does.
        """
        return self.makefile(*args, **kw)

    def dup(self, *args: Any, **kw: Any) -> GreenSocket:
        """
        Return a socket of its own for the same connection, with the same timeout.
        """
        fd = _os.dup(self.fileno(), *args, **kw)
        real = HubSocket(_family(self.fd), _type(self.fd), _proto(self.fd), fileno=fd)
        new = self._green(real)
        new.settimeout(self.gettimeout())
        return new

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
            if not isinstance(fd, HubSocket) and fd.fileno() >= 0:
                hubs.notify_close(fd.fileno())
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
        if not isinstance(fd, HubSocket) and fd.fileno() >= 0:
            hubs.notify_close(fd.fileno())
        return fd.detach()

    # Timeouts

    def setblocking(self, flag: bool) -> None:
        """
        Wait without limit from now on, or, if `flag` is false, never.
        """
        self.act_non_blocking = not flag
        self._timeout = None if flag else 0.0

    def getblocking(self) -> bool:
        """
        Say whether calls wait at all.
        """
        return not self.act_non_blocking

    def settimeout(self, howlong: float | None) -> None:
        """
        Limit each wait to `howlong` seconds; None for no limit, 0 for no waiting.

        Raises:
            TypeError: If it is no number.
            ValueError: If it is negative.
        """
        if howlong is None or howlong is _GLOBAL_DEFAULT_TIMEOUT:
            self.setblocking(True)
            return
        self._timeout = _check_timeout(howlong)
        self.act_non_blocking = self._timeout == 0

    def gettimeout(self) -> float | None:
        """
        Return the limit in seconds: None if there is none, 0.0 if calls never wait.
        """
        return 0.0 if self.act_non_blocking else self._timeout


_sock_recv = _core.sock_recv
_sock_recv_into = _core.sock_recv_into
_sock_send = _core.sock_send
_sock_sendall = _core.sock_sendall


def _sleep(seconds: float) -> None:
    from eventlet.greenthread import sleep

    sleep(seconds)
