"""
Make psycopg2 wait for its server cooperatively.

psycopg2 hands the waiting for its asynchronous connections to a callback if it
is given one, and then runs ordinary blocking calls through it too.
"""

from __future__ import annotations

from typing import Any

__all__ = ["eventlet_wait_callback", "make_psycopg_green"]


def make_psycopg_green() -> None:
    """
    Let all psycopg2 connections of the process wait in their green threads.

    Raises:
        ImportError: If psycopg2 is missing, or too old (before 2.2) for it.
    """
    from psycopg2 import extensions

    if not hasattr(extensions, "set_wait_callback"):
        msg = "psycopg2 is too old to wait cooperatively: use 2.2 or later"
        raise ImportError(msg)
    extensions.set_wait_callback(eventlet_wait_callback)


def eventlet_wait_callback(conn: Any, timeout: float = -1) -> None:
    """
    Wait until a connection has finished what it is doing.

    Switch point unless it has.

    Args:
        conn: A psycopg2 connection.
        timeout: Seconds to wait each time the server is waited for; negative
            for ever.

    Raises:
        psycopg2.OperationalError: If the connection is in no known state.
    """
    from psycopg2 import OperationalError, extensions

    from eventlet.hubs import trampoline

    limit = timeout if timeout >= 0 else None
    while True:
        state = conn.poll()
        if state == extensions.POLL_OK:
            return
        if state == extensions.POLL_READ:
            trampoline(conn.fileno(), read=True, timeout=limit)
        elif state == extensions.POLL_WRITE:
            trampoline(conn.fileno(), write=True, timeout=limit)
        else:
            msg = f"connection in an unexpected state: poll() gave {state!r}"
            raise OperationalError(msg)
