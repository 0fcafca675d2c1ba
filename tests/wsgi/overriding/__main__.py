"""
Say, as JSON, what overriding one thing alone comes to.

For each method and attribute of `HttpProtocol`, `Server` and `Input`, and for sockets,
logs, pools and hooks of a program's own.
Runs on this distribution and on upstream Eventlet alike, whose answers are kept in
``tests/data/wsgi_overriding.json``::

    python -W ignore tests/wsgi/overriding [ROW...] > tests/data/wsgi_overriding.json
"""

from __future__ import annotations

import json
import sys

import attributes  # noqa: F401 - each adds its rows
import bodies  # noqa: F401
import hooks  # noqa: F401
import methods  # noqa: F401
import servers  # noqa: F401
import sockets  # noqa: F401
from running import ROWS

import eventlet


def main(names):
    """Print the table."""
    unknown = set(names) - ROWS.keys()
    if unknown:
        sys.exit(f"no such rows: {unknown}")
    seen = {}
    for name in names or ROWS:
        with eventlet.Timeout(10, TimeoutError("too long")):
            try:
                seen[name] = ROWS[name]()
            except Exception as error:
                seen[name] = f"{type(error).__name__}: {error}"
    print(json.dumps(seen, indent=1, sort_keys=True))


if __name__ == "__main__":
    main(sys.argv[1:])
