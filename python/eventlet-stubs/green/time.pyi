# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.time import (
    sleep as sleep,
    slurp_properties as slurp_properties,
)
from time import *
from eventlet_asyncio._overlay.eventlet.green.time import (
    sleep as sleep,
    slurp_properties as slurp_properties,
)
