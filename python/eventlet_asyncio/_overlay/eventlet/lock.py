"""
A mutual exclusion lock with the interface of `threading.Lock`. It is native.
"""

from eventlet.semaphore import Semaphore
from eventlet_asyncio._core import Lock
from eventlet_asyncio._core import RLock as _RLock

__all__ = ["Lock", "Semaphore", "_RLock"]
