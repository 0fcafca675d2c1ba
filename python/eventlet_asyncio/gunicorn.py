"""
A gunicorn worker that serves each connection in a green thread.

For gunicorn versions without a worker for Eventlet, from 26.0 on, and for those that
have one alike::

    gunicorn -k eventlet_asyncio.gunicorn:Worker module:app

No variable is needed: the worker class selects this distribution.
gunicorn's own code parses requests and writes responses; what is here accepts
connections, says that the worker lives, and ends it gracefully.
The standard library is patched in each worker, before the application is loaded;
with ``--preload`` the application is loaded earlier and has to patch for itself.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, Any

from gunicorn.sock import ssl_wrap_socket
from gunicorn.workers.base_async import AsyncWorker

import eventlet_asyncio

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

# Before anything imports eventlet, also in the master.
eventlet_asyncio.activate()

__all__ = ["Worker"]

HEARTBEAT = 1.0
"""Seconds between two signs of life for the master, which wants one per ``timeout``."""

_GONE = {errno.EAGAIN, errno.ECONNABORTED, errno.EINTR}
_CLOSED = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK}


class Worker(AsyncWorker):  # type: ignore[misc]
    """
    A worker whose requests run in green threads, ``worker_connections`` at most.

    At SIGTERM, after ``max_requests``, and when the master is gone it accepts nothing
    more, ends connections that are idle between requests, and waits for the others
    as long as ``graceful_timeout`` says.
    """

    alive: bool

    def patch(self) -> None:
        """Make the standard library green; a subclass may choose what."""
        import eventlet

        eventlet.monkey_patch()

    def init_process(self) -> None:
        """Prepare the forked process and serve until the worker ends."""
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
        self._served: set[Any] = set()
        self._busy: set[Any] = set()
        super().init_process()

    def run(self) -> None:
        """Accept connections until the worker is to end, then let them end."""
        import eventlet
        from eventlet.greenio import GreenSocket

        acceptors = []
        for listener in self.sockets:
            green = GreenSocket(listener.sock)
            green.settimeout(None)
            acceptors.append(eventlet.spawn(self._accept, listener, green))
        while self.alive:
            self.notify()
            self._stopping.wait(timeout=HEARTBEAT)
            if self.ppid != os.getppid():
                self.log.info("Parent changed, shutting down: %s", self)
                self.alive = False
        self.notify()
        for acceptor in acceptors:
            acceptor.kill()
        for green_thread in self._served & self._idle.keys():
            green_thread.kill(self._idle[green_thread])
        with eventlet.Timeout(self.cfg.graceful_timeout, exception=False):
            while self._busy:
                self.notify()
                with eventlet.Timeout(HEARTBEAT, exception=False):
                    next(iter(self._busy)).wait()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End gracefully: what SIGTERM asks for."""
        super().handle_exit(sig, frame)
        self._wake()

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
            served = eventlet.spawn(self._serve, listener, client, address)
            self._busy.add(served)
            served.link(self._ended)

    def _ended(self, green_thread: Any) -> None:
        self._places.release()
        self._busy.discard(green_thread)
        self._served.discard(green_thread)

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
