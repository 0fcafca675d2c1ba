"""
Which standard modules have a green twin, and what `monkey_patch` exchanges.

Data only, and the two functions that read it. Green modules are imported when they are
asked for: an application that patches nothing pays for none of them.
"""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import ModuleType

GREEN_MODULES: dict[str, str] = {
    "_thread": "eventlet.green.thread",
    "asynchat": "eventlet.green.asynchat",
    "asyncore": "eventlet.green.asyncore",
    "ftplib": "eventlet.green.ftplib",
    "http": "eventlet.green.http",
    "http.client": "eventlet.green.http.client",
    "http.cookiejar": "eventlet.green.http.cookiejar",
    "http.cookies": "eventlet.green.http.cookies",
    "http.server": "eventlet.green.http.server",
    "os": "eventlet.green.os",
    "queue": "eventlet.green.Queue",
    "select": "eventlet.green.select",
    "selectors": "eventlet.green.selectors",
    "smtplib": "eventlet.green.smtplib",
    "socket": "eventlet.green.socket",
    "socketserver": "eventlet.green.SocketServer",
    "ssl": "eventlet.green.ssl",
    "subprocess": "eventlet.green.subprocess",
    "threading": "eventlet.green.threading",
    "time": "eventlet.green.time",
    "urllib": "eventlet.green.urllib",
    "urllib.error": "eventlet.green.urllib.error",
    "urllib.parse": "eventlet.green.urllib.parse",
    "urllib.request": "eventlet.green.urllib.request",
    "urllib.response": "eventlet.green.urllib.response",
}
"""Standard module: the green module that stands for it in what is imported green."""


def green_module(name: str) -> ModuleType | None:
    """
    Return the green twin of the standard module `name`, None if it has none.
    """
    green = GREEN_MODULES.get(name)
    return None if green is None else importlib.import_module(green)


def is_available(name: str) -> bool:
    """
    Say whether the module `name` is installed, without importing it.
    """
    try:
        return importlib.util.find_spec(name) is not None
    except (ImportError, ValueError):
        return False


@dataclass(frozen=True)
class Exchange:
    """One module to change: attributes to set, and attributes to take away."""

    module: str
    green: str
    names: tuple[str, ...]
    removed: tuple[str, ...] = field(default=())


# A method that blocks and cannot be made green is better missing: whoever wants it then
# takes another one instead of stopping every green thread.
_BLOCKING_METHODS = ("devpoll", "kqueue", "kevent")
_BLOCKING_SELECTORS = ("DevpollSelector", "KqueueSelector")

EXCHANGES: dict[str, tuple[Exchange, ...]] = {
    "os": (
        Exchange(
            "os",
            "eventlet.green.os",
            ("fdopen", "read", "write", "wait", "waitpid", "open"),
        ),
    ),
    "select": (
        Exchange(
            "select",
            "eventlet.green.select",
            ("select", "poll", "epoll"),
            _BLOCKING_METHODS,
        ),
        Exchange(
            "selectors",
            "eventlet.green.selectors",
            ("SelectSelector", "DefaultSelector", "PollSelector", "EpollSelector"),
            _BLOCKING_SELECTORS,
        ),
    ),
    "socket": (
        Exchange(
            "socket",
            "eventlet.green.socket",
            (
                "socket",
                "SocketType",
                "fromfd",
                "getaddrinfo",
                "gethostbyaddr",
                "gethostbyname",
                "gethostbyname_ex",
                "getnameinfo",
                "socketpair",
            ),
        ),
        # `SSLContext` stays: see `eventlet.green.ssl`.
        Exchange("ssl", "eventlet.green.ssl", ("SSLSocket", "wrap_socket")),
    ),
    "subprocess": (Exchange("subprocess", "eventlet.green.subprocess", ()),),
    "thread": (
        Exchange(
            "_thread",
            "eventlet.green.thread",
            (
                "LockType",
                "RLock",
                "_count",
                "_local",
                "_set_sentinel",
                "_ThreadHandle",
                "_make_thread_handle",
                "_get_main_thread_ident",
                "allocate",
                "allocate_lock",
                "get_ident",
                "interrupt_main",
                "lock",
                "stack_size",
                "start_joinable_thread",
                "start_new",
                "start_new_thread",
            ),
        ),
        Exchange(
            "queue",
            "eventlet.green.Queue",
            ("Queue", "LifoQueue", "PriorityQueue"),
        ),
    ),
    "time": (Exchange("time", "eventlet.green.time", ("sleep",)),),
    "builtins": (Exchange("builtins", "eventlet.green.builtin", ("open",)),),
}
"""
What each keyword of `monkey_patch` exchanges; `threading`, the databases and all that
needs more than this are in `apply` and `threads`.
"""

OPTIONS = (*EXCHANGES, "psycopg", "MySQLdb")
"""The keywords of `monkey_patch`."""

DRIVERS = {"psycopg": "psycopg2", "MySQLdb": "MySQLdb"}
"""Options that concern a package that may not be installed."""
