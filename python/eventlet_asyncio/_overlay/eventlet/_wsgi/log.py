"""Where a server's lines go: a file, a `logging` logger, or nowhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LoggerFileWrapper", "LoggerNull", "get_logger", "note"]


def note(write: Callable[[str], Any], line: str) -> None:
    """
    Write a line, if it can be written.

    A disk that is full, or a pipe that nobody reads any more, must not end a server that
    could go on serving; and it has no other place to say so.
    """
    try:
        write(line)
    except Exception:
        return


class LoggerNull:
    """Takes every line and writes none."""

    def __init__(self) -> None:
        pass

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Drop an error."""

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Drop a line."""

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Drop a detail."""

    def write(self, msg: str, *args: Any) -> None:
        """Drop what is written."""


class LoggerFileWrapper(LoggerNull):
    """
    Writes lines to an object with `write()`, in the way of a `logging` logger.

    Args:
        log: Where to write.
        debug: Whether lines of `debug` are written too.
    """

    def __init__(self, log: Any, debug: bool) -> None:
        self.log = log
        self._debug = debug

    def error(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write an error."""
        self.write(msg, *args)

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a line."""
        self.write(msg, *args)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        """Write a detail, if the server runs with ``debug``."""
        if self._debug:
            self.write(msg, *args)

    def write(self, msg: str, *args: Any) -> None:
        """Write ``msg % args`` and a line end."""
        self.log.write((msg % args if args else msg) + "\n")


def get_logger(log: Any, debug: bool) -> Any:
    """
    Return an object with the methods of `LoggerNull` for what a caller gave as log.

    Args:
        log: A logger, which is returned; an object with ``write()``; or None for
            standard error.
        debug: Whether details are written, where the object is no logger that knows.
    """
    if callable(getattr(log, "info", None)) and callable(getattr(log, "debug", None)):
        return log
    return LoggerFileWrapper(sys.stderr if log is None else log, debug)
