"""
The module `ssl` with sockets that let other green threads run.

`monkey_patch` leaves the class `ssl.SSLContext` as it is and sets which class of socket
it makes: contexts made before patching, subclasses and asyncio go on to work, and the
class stays what its own methods take it for. `GreenSSLContext` does the same for code
that imports this module.
"""

from __future__ import annotations

import errno
import functools
import ssl as _std
from typing import Any

from eventlet import hubs
from eventlet._patch.inject import slurp_properties
from eventlet._patch.originals import original as _original
from eventlet.green._ssl_setup import (
    BeforeProtocol,
    check_wrap,
    context_for,
    is_connected,
)
from eventlet.green._ssl_setup import making as _making
from eventlet.greenio import real as _real
from eventlet.greenio.base import CONNECT_ERR, CONNECT_SUCCESS, GreenSocket
from eventlet.greenio.base import pay_operation as _pay_operation
from eventlet.greenio.timeouts import Timeouts
from eventlet.hubs import IOClosed, trampoline
from eventlet.semaphore import Semaphore as _Semaphore
from eventlet.support import get_errno

slurp_properties(_std, globals(), srckeys=[n for n in dir(_std) if n[:2] != "__"])

_OriginalContext = _std.SSLContext
_OriginalSocket: Any = _std.SSLSocket
# `socket.socket` as it was: the class that `ssl` derived its own from.
_RealSocket: Any = _OriginalSocket.__mro__[1]
_socket = _original("socket")
_os = _original("os")
_time = _original("time")

timeout_exc = TimeoutError
socket_error = OSError
has_ciphers = True

__patched__ = [
    "SSLContext",
    "SSLSocket",
    "create_default_context",
    "wrap_socket",
]

# A large write is given to the protocol in pieces, so that others get a turn.
_WRITE_AT_ONCE = 1 << 18
_READ, _WRITE, _HANDSHAKE = "read", "write", "handshake"


class GreenSSLSocket(Timeouts, BeforeProtocol, _OriginalSocket):
    """
    An SSL socket on which waiting lets other green threads run.

    The socket below is in non-blocking mode: the protocol tells whether it has to read
    or to write before it can go on, and the green thread waits for that.
    """

    def __init__(
        self,
        sock: Any,
        keyfile: Any = None,
        certfile: Any = None,
        server_side: bool = False,
        cert_reqs: Any = None,
        ssl_version: Any = None,
        ca_certs: Any = None,
        do_handshake_on_connect: bool = True,
        *args: Any,
        **kw: Any,
    ) -> None:
        """
        Wrap `sock`, which is of no use afterwards.

        Args:
            args, kw: `suppress_ragged_eofs`, `ciphers`, `server_hostname`, `session`;
                `_context` in place of all arguments about certificates.
        """
        names = ("suppress_ragged_eofs", "ciphers")
        options = {**dict(zip(names, args, strict=False)), **kw}
        context = options.pop("_context", None) or options.pop("context", None)
        ciphers = options.pop("ciphers", None)
        if context is None:
            context = context_for(
                GreenSSLContext,
                keyfile,
                certfile,
                server_side,
                cert_reqs,
                ssl_version,
                ca_certs,
                ciphers,
            )
        self._wrap(
            sock,
            context,
            server_side=server_side,
            do_handshake_on_connect=do_handshake_on_connect,
            **options,
        )

    @classmethod
    def _create(
        cls,
        sock: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: Any = None,
        context: Any = None,
        session: Any = None,
    ) -> GreenSSLSocket:
        # What `SSLContext.wrap_socket` calls.
        self = cls.__new__(cls)
        self._wrap(
            sock,
            context,
            server_side,
            do_handshake_on_connect,
            suppress_ragged_eofs,
            server_hostname,
            session,
        )
        return self

    def _wrap(
        self,
        sock: Any,
        context: Any,
        server_side: bool = False,
        do_handshake_on_connect: bool = True,
        suppress_ragged_eofs: bool = True,
        server_hostname: Any = None,
        session: Any = None,
    ) -> None:
        check_wrap(sock, context, server_side, server_hostname, session)
        self._timeout = sock.gettimeout()
        self.act_non_blocking = self._timeout == 0
        family, kind, proto = sock.family, sock.type, sock.proto
        # From here on this object is responsible for the descriptor.
        _RealSocket.__init__(self, family, kind, proto, fileno=sock.detach())
        try:
            _RealSocket.setblocking(self, False)
            hubs.notify_opened(self.fileno())
            self._context = context
            self._session = session
            self._sslobj = None
            # The protocol must repeat a write that could not be finished before it
            # takes another one: green threads that write take turns.
            self._turn = _Semaphore(1)
            self.server_side = server_side
            self.server_hostname = context._encode_hostname(server_hostname)
            self.do_handshake_on_connect = do_handshake_on_connect
            self.suppress_ragged_eofs = suppress_ragged_eofs
            self._connected = is_connected(self)
            if self._connected:
                self._begin(do_handshake_on_connect)
        except BaseException:
            self.close()
            raise

    def _begin(self, handshake: bool) -> None:
        self._sslobj = self._context._wrap_socket(
            self,
            self.server_side,
            self.server_hostname,
            owner=self,
            session=self._session,
        )
        if handshake:
            if self.act_non_blocking:
                message = (
                    "do_handshake_on_connect should not be specified for "
                    "non-blocking sockets"
                )
                raise ValueError(message)
            self.do_handshake()

    # Waiting

    def _call_trampolining(self, what: str, func: Any, *args: Any) -> Any:
        """
        Repeat `func` until the protocol has what it needs. Switch point.
        """
        if self.act_non_blocking:
            return func(*args)
        fd = self.fileno()
        _pay_operation()
        self._check_still(fd)
        end = None
        while True:
            try:
                return func(*args)
            except _std.SSLWantReadError:
                write = False
            except _std.SSLWantWriteError:
                write = True
            except BlockingIOError:
                write = what == _WRITE
            if self._timeout is not None and end is None:
                end = _time.monotonic() + self._timeout
            self._wait_for(what, write, end)

    def _wait_for(self, what: str, write: bool, end: float | None) -> None:
        fd = self.fileno()
        if fd < 0:
            raise OSError(errno.EBADF, _os.strerror(errno.EBADF))
        trampoline(
            fd,
            read=not write,
            write=write,
            timeout=None if end is None else max(end - _time.monotonic(), 0),
            timeout_exc=timeout_exc(f"The {what} operation timed out"),
        )
        self._check_still(fd)

    def _check_still(self, fd: int) -> None:
        """Raise if the socket was closed while others had their turn."""
        if self.fileno() != fd:
            # The protocol goes by the number, which may be another file's by now.
            raise OSError(errno.EBADF, _os.strerror(errno.EBADF))

    def settimeout(self, timeout: float | None) -> None:
        """
        Limit each call to `timeout` seconds; None for no limit, 0 for no waiting.
        """
        super().settimeout(timeout)

    timeout = property(Timeouts.gettimeout)

    # The protocol

    def do_handshake(self, block: bool = False) -> None:
        """
        Negotiate the connection. Switch point.

        Raises:
            TimeoutError: If the timeout passes first.
            SSLError: If it fails.
        """
        self._check_connected()
        if block and self.act_non_blocking:
            self.settimeout(None)
        self._call_trampolining(_HANDSHAKE, self._sslobj.do_handshake)

    def read(self, len: int = 1024, buffer: Any = None) -> Any:
        """
        Return up to `len` bytes, or fill `buffer` and return a number. Switch point.
        """
        protocol = self._sslobj
        if protocol is None:
            return super().read(len, buffer)
        # Asked itself, and not by `self`: a `shutdown` during the wait takes it away,
        # and what it then has to say is that the stream has ended.
        try:
            if buffer is None:
                return self._call_trampolining(_READ, protocol.read, len)
            return self._call_trampolining(_READ, protocol.read, len, buffer)
        except _std.SSLError as error:
            if error.args[0] != _std.SSL_ERROR_EOF or not self.suppress_ragged_eofs:
                raise
            return b"" if buffer is None else 0

    def write(self, data: Any) -> int:
        """
        Send some of `data` and return how many bytes were taken. Switch point.
        """
        if self._sslobj is None or self.act_non_blocking:
            return super().write(data)
        return self._write_in_turn(data)

    def _write_in_turn(self, data: Any) -> int:
        with self._turn:
            protocol = self._sslobj
            if protocol is None:  # closed or shut down while another one wrote
                number = errno.EBADF if self.fileno() < 0 else errno.EPIPE
                raise OSError(number, _os.strerror(number))
            return self._call_trampolining(_WRITE, protocol.write, data)

    def unwrap(self) -> Any:
        """
        End the protocol and return the socket for plain use. Switch point.
        """
        if self._sslobj is None:
            message = f"No SSL wrapper around {self}"
            raise ValueError(message)
        sock = self._call_trampolining(_READ, self._sslobj.shutdown)
        self._sslobj = None
        return sock

    def verify_client_post_handshake(self) -> None:
        """
        Ask a TLS 1.3 client for its certificate. Switch point.
        """
        self._call_trampolining(_WRITE, super().verify_client_post_handshake)

    # Bytes

    def send(self, data: Any, flags: int = 0) -> int:
        """
        Send some of `data` and return how many bytes were taken. Switch point.
        """
        if self._sslobj is None:
            return self._plain(_WRITE, _RealSocket.send, data, flags)
        _refuse_flags("send", flags)
        if self.act_non_blocking:
            return self._sslobj.write(data)
        return self._write_in_turn(data)

    def sendall(self, data: Any, flags: int = 0) -> None:
        """
        Send all of `data`. Switch point.
        """
        with memoryview(data) as view, view.cast("B") as rest:
            sent = 0
            while sent < len(rest):
                sent += self.send(rest[sent : sent + _WRITE_AT_ONCE], flags)

    def recv(self, buflen: int = 1024, flags: int = 0) -> bytes:
        """
        Return up to `buflen` bytes, b"" at the end of the stream. Switch point.
        """
        if self._sslobj is None:
            return self._plain(_READ, _RealSocket.recv, buflen, flags)
        _refuse_flags("recv", flags)
        return self.read(buflen)

    def recv_into(self, buffer: Any, nbytes: int | None = None, flags: int = 0) -> int:
        """
        Read into `buffer` and return the number of bytes. Switch point.
        """
        if nbytes is None:
            with memoryview(buffer) as view:
                nbytes = view.nbytes or 1024
        if self._sslobj is None:
            return self._plain(_READ, _RealSocket.recv_into, buffer, nbytes, flags)
        _refuse_flags("recv_into", flags)
        return self.read(nbytes, buffer)

    def _plain(self, what: str, function: Any, *args: Any) -> Any:
        return self._call_trampolining(what, function, self, *args)

    # Connections

    def connect(self, addr: Any) -> None:
        """
        Connect to `addr` and negotiate. Switch point.
        """
        err = self._real_connect(addr)
        if err:
            self._sslobj = None  # it may be tried again
            raise OSError(err, _os.strerror(err))

    def connect_ex(self, addr: Any) -> int:
        """
        Connect as `connect` does, but return the error number. Switch point.
        """
        try:
            return self._real_connect(addr)
        except TimeoutError:
            return errno.EAGAIN

    def _real_connect(self, addr: Any) -> int:
        if self.server_side:
            message = "can't connect in server-side mode"
            raise ValueError(message)
        if self._connected or self._sslobj is not None:
            message = "attempt to connect already-connected SSLSocket!"
            raise ValueError(message)
        self._begin(handshake=False)
        try:
            err = self._plain_connect(addr)
            if not err:
                self._connected = True
                if self.do_handshake_on_connect:
                    self.do_handshake()
        except BaseException:
            self._sslobj = None
            self._connected = False
            raise
        return err

    def _plain_connect(self, addr: Any) -> int:
        if self.act_non_blocking:
            return _RealSocket.connect_ex(self, addr)
        connect_ex = functools.partial(_RealSocket.connect_ex, self)
        try:
            target = _real.resolved(addr, self.family, self.type, self.proto)
            _real.connect_waiting(self, connect_ex, target, self._timeout)
        except (TimeoutError, _socket.gaierror):
            raise
        except OSError as error:
            if error.errno is None:
                raise
            return error.errno
        return 0

    def accept(self) -> tuple[GreenSSLSocket, Any]:
        """
        Return a new connection and the address of its peer. Switch point.

        The protocol is negotiated by the first read or write of the connection: a peer
        that stays silent must not keep others from being accepted.
        """
        real, address = self._plain(_READ, _accept)
        return self._green(real), address

    def _green(self, real: Any) -> GreenSSLSocket:
        return self._context.wrap_socket(
            GreenSocket(real),
            server_side=True,
            do_handshake_on_connect=False,
            suppress_ragged_eofs=self.suppress_ragged_eofs,
        )

    # The descriptor

    def _real_close(self) -> None:
        _real.forget(self)
        super()._real_close()

    def detach(self) -> int:
        """
        Give the descriptor away and return its number.
        """
        _real.forget(self)
        return super().detach()

    def __del__(self) -> None:
        try:
            _real.forget(self)
        except Exception:
            # The interpreter is ending, and has taken modules apart.
            pass
        finally:
            super().__del__()

    def dup(self) -> Any:
        """
        Refuse: the protocol has one state, which cannot be shared.
        """
        message = f"Can't dup() {type(self).__name__} instances"
        raise NotImplementedError(message)


def _accept(listener: Any) -> tuple[_real.HubSocket, Any]:
    fd, address = _RealSocket._accept(listener)
    kind = listener.family, listener.type, listener.proto
    return _real.HubSocket(*kind, fileno=fd), address


def _refuse_flags(name: str, flags: int) -> None:
    if flags:
        message = f"non-zero flags not allowed in calls to {name}() on {GreenSSLSocket}"
        raise ValueError(message)


class GreenSSLContext(_OriginalContext):
    """An SSL context whose sockets are green."""

    sslsocket_class = GreenSSLSocket

    def wrap_socket(self, sock: Any, *a: Any, **kw: Any) -> Any:
        """
        Return `sock` wrapped, as `ssl.SSLContext.wrap_socket`. Switch point.
        """
        return super().wrap_socket(sock, *a, **kw)


SSLSocket = GreenSSLSocket
SSLContext = GreenSSLContext


def wrap_socket(sock: Any, *a: Any, **kw: Any) -> GreenSSLSocket:
    """
    Return `sock` wrapped, with a context made for it alone. Switch point.

    Takes the arguments of `GreenSSLSocket`; peers are not verified unless asked for.
    """
    return GreenSSLSocket(sock, *a, **kw)


def green_create_default_context(*a: Any, **kw: Any) -> GreenSSLContext:
    """
    Return a green context with the settings of `ssl.create_default_context`.
    """
    return _making(_std.create_default_context, GreenSSLContext)(*a, **kw)


create_default_context = green_create_default_context
_create_unverified_context = _making(_std._create_unverified_context, GreenSSLContext)
_create_stdlib_context = _create_unverified_context
_create_default_https_context = create_default_context
