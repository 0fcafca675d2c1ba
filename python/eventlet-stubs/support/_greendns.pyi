# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.support._greendns import (
    GREEN_MODULES as GREEN_MODULES,
    HostsAnswer as HostsAnswer,
    HostsResolver as HostsResolver,
    ResolverProxy as ResolverProxy,
    green_module as green_module,
    greendns as greendns,
    original as original,
    transports as transports,
)
