"""
The descriptor that signals are written to, while green code runs loops of its own.

A process has one such descriptor, ``signal.set_wakeup_fd``.
A loop puts its own there: asyncio's when it is given a signal handler,
uvloop's whenever it runs, and then restores what it found.
That suits loops that run one inside the other.
Those of green threads begin and end in any order, and the hub's runs beneath them:
each would take the signals away from the others, or leave a closed descriptor behind.
So while such loops run, a pipe of ours is in place,
and what arrives there is handed on to all of them.

There is no way to ask what is in place but to put something else there.
That is the pipe, too, or a signal that arrives just then would reach nobody.
"""

from __future__ import annotations

import contextlib
import signal
from typing import Any

from eventlet._patch.originals import original
from eventlet_asyncio import _core

os: Any = original("os")

#: Loops that take part, as they are run.
_shares: list[Share] = []
#: What was in place without them: the hub's, mostly.
_outer = -1
#: Opened when it is first needed, and kept.
_pipe: tuple[int, int] | None = None
#: What tells it from files that get its numbers after it was closed.
_file: tuple[int, int] | None = None
#: The hub that reads the pipe, and its registration.
_reader: tuple[Any, Any] | None = None


class Share:
    """One run of a loop by green code of the main OS thread; of others, it does nothing."""

    def __init__(self, event_loop: Any, *, always: bool) -> None:
        """
        Prepare for a run.

        Args:
            event_loop: The loop.
            always: Whether it sets a descriptor for each run, as uvloop does;
                else only if it has signal handlers.
        """
        self._event_loop = event_loop
        self._always = always
        self._joined = False
        self._before = -1
        #: The loop's own descriptor, or -1.
        self.own = -1

    def begin(self) -> None:
        """Prepare for the loop to begin."""
        if not in_main_thread():
            return
        if self._always:
            # It restores -1 at its end.
            self._before = _exchange(-1)
            self._join()
            return
        self._before = _exchange(_ours())
        if self._has_handlers():
            self.own = self._event_loop._csock.fileno()
            self._join()
        else:
            _put_back(self._before)

    def leave(self) -> None:
        """Make way: the loop begins to wait, and others run."""
        if self._joined or (self._has_handlers() and in_main_thread()):
            self._join()
            found = _exchange(_ours())
            if found != _ours():
                self.own = found

    def come_back(self) -> None:
        """Note what has changed: the loop goes on."""
        if self._joined:
            _note_outer(_exchange(_ours()))
            _listen()

    def end(self) -> None:
        """Restore what was there: the loop has ended."""
        if self._joined:
            self._joined = False
            _shares.remove(self)
            _exchange(_ours() if _shares else _outer)
            if not _shares:
                _stop_listening()

    def forked(self) -> None:
        """Forget a descriptor that is shared with the parent process."""
        if self._always:
            self.own = -1

    def _has_handlers(self) -> bool:
        return bool(getattr(self._event_loop, "_signal_handlers", None))

    def _join(self) -> None:
        if not self._joined:
            self._joined = True
            _note_outer(self._before)
            _shares.append(self)
            _listen()


def clear() -> None:
    """See to it that a loop which the hub begins to run does not find ours."""
    if _shares and in_main_thread():
        found = _exchange(_ours())
        _put_back(-1 if found == _ours() else found)


def renew() -> None:
    """
    Have signals of a forked child reach its own loops only.

    What was in place leads to the parent's, and so does the pipe.
    """
    global _outer, _file  # noqa: PLW0603 - the process's
    _outer = -1
    _exchange(-1)
    for share in _shares:
        share.forked()
    if _pipe is not None:
        _ours()
        for number, end in zip(_pipe, os.pipe(), strict=True):
            os.set_blocking(end, False)
            os.dup2(end, number, inheritable=False)
            os.close(end)
        _file = _file_of(_pipe[0])
        _exchange(_ours())


def in_main_thread() -> bool:
    """Tell whether the caller may set the descriptor."""
    main: int | None = original("threading").main_thread().ident
    ident: int = original("_thread").get_ident()
    return main == ident


def _ours() -> int:
    global _pipe, _file, _reader  # noqa: PLW0603 - the process's
    if _pipe is None or _file_of(_pipe[0]) != _file or _file_of(_pipe[1]) != _file:
        # The first one, or the program has closed all descriptors.
        _pipe, _reader = os.pipe(), None
        for end in _pipe:
            os.set_blocking(end, False)
        _file = _file_of(_pipe[0])
    return _pipe[1]


def _file_of(descriptor: int) -> tuple[int, int] | None:
    """Return what tells the file behind a number from all others; None if there is none."""
    try:
        status = os.fstat(descriptor)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _note_outer(descriptor: int) -> None:
    global _outer  # noqa: PLW0603 - the process's
    if descriptor != _ours():
        _outer = descriptor


def _exchange(descriptor: int) -> int:
    """Have signals written to a descriptor; return the former one."""
    try:
        return signal.set_wakeup_fd(descriptor, warn_on_full_buffer=False)
    except (OSError, ValueError):
        # Its owner has closed it.
        return signal.set_wakeup_fd(-1)


def _put_back(descriptor: int) -> None:
    """Have signals written to a descriptor again that ours stood in for."""
    _exchange(descriptor)
    if not _shares:
        _hand_on({descriptor})


def _listen() -> None:
    """Have the hub in use read the pipe."""
    global _reader  # noqa: PLW0603 - the process's
    hub: Any = _core._existing_hub()
    _ours()
    if _reader is None or _reader[0] is not hub:
        assert _pipe is not None
        _reader = hub, hub._listen(_pipe[0], False, _hear)


def _hear() -> None:
    _hand_on({_outer, *(share.own for share in _shares)})


def _hand_on(descriptors: set[int]) -> None:
    """Write what has arrived to whoever waits for it."""
    if _pipe is None:
        return
    _ours()
    with contextlib.suppress(BlockingIOError):
        numbers = os.read(_pipe[0], 4096)
        for descriptor in descriptors - {-1, _ours()}:
            with contextlib.suppress(OSError):
                os.write(descriptor, numbers)


def _stop_listening() -> None:
    global _reader  # noqa: PLW0603 - the process's
    _hear()
    if _reader is not None:
        hub, registration = _reader
        # A hub that was replaced has forgotten it.
        with contextlib.suppress(RuntimeError):
            hub._unlisten(registration)
    _reader = None
