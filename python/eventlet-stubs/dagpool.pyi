# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.dagpool import (
    Collision as Collision,
    DAGPool as DAGPool,
    Event as Event,
    PropagateError as PropagateError,
)
