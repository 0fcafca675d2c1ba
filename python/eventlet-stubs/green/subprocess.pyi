# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.subprocess import (
    Popen as Popen,
)
from subprocess import *
from eventlet_asyncio._overlay.eventlet.green.subprocess import (
    Popen as Popen,
)
