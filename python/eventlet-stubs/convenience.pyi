# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.convenience import (
    GreenPool as GreenPool,
    GreenletExit as GreenletExit,
    ReusePortUnavailableWarning as ReusePortUnavailableWarning,
    ReuseRandomPortWarning as ReuseRandomPortWarning,
    StopServe as StopServe,
    connect as connect,
    greenthread as greenthread,
    listen as listen,
    serve as serve,
    wrap_ssl as wrap_ssl,
    wrap_ssl_impl as wrap_ssl_impl,
)
