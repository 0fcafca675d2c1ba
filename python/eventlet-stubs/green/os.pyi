# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.os import (
    fdopen as fdopen,
    hubs as hubs,
    open as open,
    original as original,
    read as read,
    wait as wait,
    waitpid as waitpid,
    write as write,
)
from os import *
from eventlet_asyncio._overlay.eventlet.green.os import (
    fdopen as fdopen,
    hubs as hubs,
    open as open,
    original as original,
    read as read,
    wait as wait,
    waitpid as waitpid,
    write as write,
)
