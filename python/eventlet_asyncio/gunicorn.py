"""
A gunicorn worker that serves each connection in a green thread.

For gunicorn versions without a worker for Eventlet, from 26.0 on, and for those that
have one alike::

    gunicorn -k eventlet_asyncio.gunicorn:Worker module:app

No variable is needed: the worker class selects this distribution.
What is here accepts connections, says that the worker lives, and ends it gracefully.
gunicorn's own code writes responses, and with `Worker` it parses requests; with
`NativeWorker` the parser of `eventlet.wsgi` does.

The standard library is patched in each worker, before the application is loaded;
with ``--preload`` the application is loaded earlier and has to patch for itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
import signal
from typing import TYPE_CHECKING, Any

from gunicorn import util
from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.base_async import AsyncWorker

import eventlet_asyncio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Before anything imports eventlet, also in the master.
eventlet_asyncio.activate()

__all__ = ["NativeWorker", "Worker"]

HEARTBEAT = 1.0
"""Seconds between two signs of life for the master, which wants one per ``timeout``."""

_GONE = {errno.EAGAIN, errno.ECONNABORTED, errno.EINTR}
_CLOSED = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}


class Worker(AsyncWorker):  # type: ignore[misc]
    """
    A worker whose requests run in green threads, ``worker_connections`` at most.

    At SIGTERM, after ``max_requests``, and when the master is gone it accepts who has
    connected already and closes its listeners, ends connections that are idle between
    requests, answers what has arrived, and waits for that as long as
    ``graceful_timeout`` says.
    """

    alive: bool

    def patch(self) -> None:
        """Make the standard library green; a subclass may choose what."""
        import eventlet

        eventlet.monkey_patch()

    def init_process(self) -> None:
        """Prepare the forked process and serve until the worker ends."""
        # gunicorn sets its handlers after what takes longest here. Till then a signal would
        # reach the copy of the master's, and a worker that has to end would go on.
        signal.signal(signal.SIGTERM, self._end_early)
        self.patch()
        import eventlet
        from eventlet import hubs, wsgi

        # What the master's hub had, if it had one, is the master's.
        hubs.use_hub()
        self._stopping = eventlet.Event()
        # Where websockets say, in their green thread, that they have answered.
        self._local = wsgi.WSGI_LOCAL
        self._places = eventlet.Semaphore(self.worker_connections)
        # Of each connection, by green thread: the wait for its next request.
        self._idle: dict[Any, Any] = {}
        # Green threads that have answered a request, and all with their connections.
        self._served: set[Any] = set()
        self._busy: dict[Any, Any] = {}
        self._all_ended = eventlet.Event()
        super().init_process()

    def run(self) -> None:
        """Accept connections until the worker is to end, then let them end."""
        import eventlet
        from eventlet._wsgi.backlog import end_listening
        from eventlet._wsgi.registry import ASKING
        from eventlet.greenio import GreenSocket

        acceptors = []
        for listener in self.sockets:
            green = GreenSocket(listener.sock)
            green.settimeout(None)
            named = _Named(listener)
            acceptors.append((named, green, eventlet.spawn(self._accept, named, green)))
        while self.alive:
            self.notify()
            self._stopping.wait(timeout=HEARTBEAT)
            if self.ppid != os.getppid():
                self.log.info("Parent changed, shutting down: %s", self)
                self.alive = False
        self.notify()
        for named, green, acceptor in acceptors:
            acceptor.kill()
            # Of the last one who has it, this makes the kernel refuse clients at once.
            for client, address in end_listening(green):
                self._begin(self._serve_in_turn, named, client, address)
        if self._idle:
            # Who asks one request after the other is told that this was the last.
            eventlet.sleep(ASKING)
        self._end_idle()
        with eventlet.Timeout(self.cfg.graceful_timeout, exception=False):
            while self._busy:
                self.notify()
                # All may have ended, and others have begun, before this.
                self._all_ended = eventlet.Event()
                self._all_ended.wait(timeout=HEARTBEAT)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End gracefully: what SIGTERM asks for."""
        super().handle_exit(sig, frame)
        self._wake()

    def _end_early(self, _sig: int, _frame: FrameType | None) -> None:
        """End as soon as the worker is there."""
        self.alive = False

    def handle_request(self, *arguments: Any) -> Any:
        """Answer a request, the last one of the worker perhaps."""
        import eventlet

        self._served.add(eventlet.getcurrent())
        try:
            return super().handle_request(*arguments)
        finally:
            if not self.alive:
                self._wake()

    @contextlib.contextmanager
    def timeout_ctx(self) -> Iterator[None]:
        """Limit the wait for a connection's next request to ``keepalive``."""
        import eventlet

        me = eventlet.getcurrent()
        with eventlet.Timeout(self.cfg.keepalive or None, exception=False) as waiting:
            self._idle[me] = waiting
            try:
                yield
            finally:
                del self._idle[me]

    def is_already_handled(self, respiter: Any) -> bool:
        """
        Say whether the application has spoken to the client itself.

        Raises:
            StopIteration: If it has, as Eventlet's websockets do: the connection ends.
        """
        if self._local.already_handled:
            raise StopIteration
        return super().is_already_handled(respiter)  # type: ignore[no-any-return]

    def _wake(self) -> None:
        if not self._stopping.ready():
            self._stopping.send()

    def _accept(self, listener: Any, green: Any) -> None:
        """Take connections of one listener while there are places."""
        import eventlet

        while self.alive:
            self._places.acquire()
            try:
                client, address = green.accept()
            except OSError as failed:
                self._places.release()
                if failed.errno in _CLOSED:
                    return
                if failed.errno not in _GONE:
                    self.log.warning("Cannot accept on %s: %s", listener, failed)
                    # Descriptors may have run out: others give theirs back first.
                    eventlet.sleep(0.1)
                continue
            except BaseException:
                self._places.release()
                raise
            self._begin(self._serve, listener, client, address)

    def _begin(self, serve: Any, listener: Any, client: Any, address: Any) -> None:
        """Serve a connection in a green thread of its own."""
        import eventlet

        served = eventlet.spawn(serve, listener, client, address)
        self._busy[served] = client
        served.link(self._ended)

    def _end_idle(self) -> None:
        """End connections that are between two requests, and nothing has arrived on."""
        for green_thread, waiting in list(self._idle.items()):
            if (
                # Each kill lets others run.
                self._idle.get(green_thread) is waiting
                and green_thread in self._served
                and not _has_arrived(self._busy[green_thread])
            ):
                green_thread.kill(waiting)

    def _ended(self, green_thread: Any) -> None:
        self._places.release()
        self._busy.pop(green_thread, None)
        self._served.discard(green_thread)
        if not self.alive and not self._busy and not self._all_ended.ready():
            self._all_ended.send()

    def _serve_in_turn(self, listener: Any, client: Any, address: Any) -> None:
        self._places.acquire()
        self._serve(listener, client, address)

    def _serve(self, listener: Any, client: Any, address: Any) -> None:
        """Serve one connection to its end."""
        self._local.already_handled = False
        client.settimeout(None)
        if self.cfg.is_ssl:
            try:
                client = ssl_wrap_socket(client, self.cfg)
            except OSError as refused:
                self.log.debug("No TLS with %s: %s", address, refused)
                client.close()
                return
        self.handle(listener, client, address)


class NativeWorker(Worker):
    """
    A worker whose requests are read by the parser of `eventlet.wsgi`.

    What that refuses never reaches gunicorn. gunicorn's parser then reads the head as it
    was understood, for its settings about proxies and header names; hooks, logs and
    responses are gunicorn's. HTTP/1 only, and no PROXY protocol.
    """

    def init_process(self) -> None:
        """
        Prepare the forked process and serve until the worker ends.

        Raises:
            RuntimeError: If the PROXY protocol or HTTP/2 is configured.
        """
        for setting, plain in (
            ("proxy_protocol", {False, "off"}),
            ("http_protocols", {"h1"}),
        ):
            found = self.cfg.settings.get(setting)
            if found is not None and not _is_among(found.get(), plain):
                msg = (
                    f"NativeWorker speaks HTTP/1 without more: leave the setting"
                    f" {setting} alone, or use eventlet_asyncio.gunicorn:Worker"
                )
                raise RuntimeError(msg)
        super().init_process()

    def handle(self, listener: Any, client: Any, addr: Any) -> None:
        """Serve one connection to its end."""
        from eventlet_asyncio import _gunicorn_requests

        name = listener.getsockname()
        request = None
        requests = _gunicorn_requests.Requests(self.cfg, client, addr)
        try:
            while True:
                request = None
                with self.timeout_ctx():
                    request = requests.next()
                if request is None:
                    break
                self.handle_request(name, request, client, addr)
                if not self.cfg.keepalive:
                    break
        except StopIteration:
            # The connection ends with this response.
            pass
        except OSError as lost:
            self.log.debug("Connection lost: %r", lost)
        except Exception as failed:  # noqa: BLE001 - the log and the client get it
            self.handle_error(request, client, addr, failed)
        finally:
            requests.close()
            with contextlib.suppress(OSError):
                client.close()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Any) -> None:
        """Tell the log and the client what was wrong with a request."""
        from eventlet_asyncio import _gunicorn_requests

        refusal = _gunicorn_requests.refusal_of(exc)
        if refusal is None:
            super().handle_error(req, client, addr, exc)
            return
        code, reason, detail = refusal
        host = addr[0] if addr else ""
        self.log.warning("Invalid request from ip=%s: %s", host, detail or reason)
        with contextlib.suppress(OSError):
            util.write_error(client, code, reason, detail)


class _Named:
    """A listener whose name is known also after it was closed."""

    def __init__(self, listener: Any) -> None:
        self._name = listener.getsockname()
        self._text = str(listener)

    def getsockname(self) -> Any:
        """Return the address that the listener was bound to."""
        return self._name

    def __str__(self) -> str:
        return self._text


def _has_arrived(client: Any) -> bool:
    """Say whether a connection has bytes that were not read yet."""
    from eventlet.patcher import original

    real = original("socket")
    pending = getattr(client, "pending", None)
    try:
        if pending is not None and pending():
            return True
        # Also beneath TLS, which has the say about what it is.
        sock = getattr(client, "fd", client)
        flags = real.MSG_PEEK | real.MSG_DONTWAIT
        return bool(real.SocketType.recv(sock, 1, flags))
    except (OSError, ValueError):
        return False


def _is_among(value: Any, plain: set[Any]) -> bool:
    values = value if isinstance(value, (list, tuple, set)) else [value]
    return all(one in plain for one in values)
