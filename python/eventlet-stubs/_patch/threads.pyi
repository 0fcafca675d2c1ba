# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._patch.threads import (
    GreenThread as GreenThread,
    Semaphore as Semaphore,
    forked as forked,
    getcurrent as getcurrent,
    green_thread as green_thread,
    greenlet as greenlet,
    install as install,
    original as original,
    real_get_ident as real_get_ident,
    share as share,
    token_of_current as token_of_current,
)
