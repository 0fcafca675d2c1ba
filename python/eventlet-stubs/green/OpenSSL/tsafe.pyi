# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.OpenSSL.tsafe import (
    Connection as Connection,
)
from typing import Any
def __getattr__(name: str) -> Any: ...
