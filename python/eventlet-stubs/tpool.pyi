# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.tpool import (
    CallQueue as CallQueue,
    Event as Event,
    Proxy as Proxy,
    QUIET as QUIET,
    execute as execute,
    killall as killall,
    proxy_call as proxy_call,
    set_num_threads as set_num_threads,
    setup as setup,
    tpool_trampoline as tpool_trampoline,
    tworker as tworker,
)
