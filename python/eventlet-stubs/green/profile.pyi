# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.profile import (
    ContextWrap as ContextWrap,
    Profile as Profile,
    getcurrent as getcurrent,
    run as run,
    runctx as runctx,
)
from profile import *
from eventlet_asyncio._overlay.eventlet.green.profile import (
    ContextWrap as ContextWrap,
    Profile as Profile,
    getcurrent as getcurrent,
    run as run,
    runctx as runctx,
)
