# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.OpenSSL.SSL import (
    Connection as Connection,
    ConnectionType as ConnectionType,
    Error as Error,
    GreenConnection as GreenConnection,
    SysCallError as SysCallError,
    WantReadError as WantReadError,
    WantWriteError as WantWriteError,
    get_errno as get_errno,
    greenio as greenio,
    trampoline as trampoline,
)
from typing import Any
def __getattr__(name: str) -> Any: ...
