# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.greenthread import (
    CONTEXT_VARIABLE as CONTEXT_VARIABLE,
    GreenThread as GreenThread,
    call_after as call_after,
    call_after_global as call_after_global,
    call_after_local as call_after_local,
    cancel as cancel,
    exc_after as exc_after,
    getcurrent as getcurrent,
    kill as kill,
    sleep as sleep,
    spawn as spawn,
    spawn_after as spawn_after,
    spawn_after_local as spawn_after_local,
    spawn_n as spawn_n,
)
