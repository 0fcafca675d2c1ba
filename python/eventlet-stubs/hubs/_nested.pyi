# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.hubs._nested import (
    INTERVAL as INTERVAL,
    Run as Run,
    SLICE as SLICE,
    WAKING as WAKING,
    after_hub_in_child as after_hub_in_child,
    before_hub_in_child as before_hub_in_child,
    mend_loop as mend_loop,
    mend_runs as mend_runs,
    original as original,
    renew_loop as renew_loop,
    run as run,
    uvloop_runner as uvloop_runner,
)
