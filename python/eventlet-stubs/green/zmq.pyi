# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.zmq import (
    Again as Again,
    Context as Context,
    LockReleaseError as LockReleaseError,
    Socket as Socket,
    ZMQError as ZMQError,
    deque as deque,
    slurp_properties as slurp_properties,
)
from typing import Any
def __getattr__(name: str) -> Any: ...
