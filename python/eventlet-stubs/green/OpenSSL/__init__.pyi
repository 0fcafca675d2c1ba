# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.OpenSSL import (
    SSL as SSL,
    crypto as crypto,
    version as version,
)
from typing import Any
def __getattr__(name: str) -> Any: ...
