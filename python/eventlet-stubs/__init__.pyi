# Written by tools/stubs.py.
from eventlet import asyncio as asyncio
from eventlet import backdoor as backdoor
from eventlet import convenience as convenience
from eventlet import corolocal as corolocal
from eventlet import coros as coros
from eventlet import dagpool as dagpool
from eventlet import db_pool as db_pool
from eventlet import debug as debug
from eventlet import event as event
from eventlet import green as green
from eventlet import greenio as greenio
from eventlet import greenpool as greenpool
from eventlet import greenthread as greenthread
from eventlet import hubs as hubs
from eventlet import lock as lock
from eventlet import patcher as patcher
from eventlet import pools as pools
from eventlet import queue as queue
from eventlet import semaphore as semaphore
from eventlet import support as support
from eventlet import timeout as timeout
from eventlet import tpool as tpool
from eventlet import websocket as websocket
from eventlet import wsgi as wsgi
from eventlet.semaphore import BoundedSemaphore as BoundedSemaphore
from eventlet.semaphore import CappedSemaphore as CappedSemaphore
from eventlet.event import Event as Event
from eventlet.greenpool import GreenPile as GreenPile
from eventlet.greenpool import GreenPool as GreenPool
from eventlet.queue import Queue as Queue
from eventlet.semaphore import Semaphore as Semaphore
from eventlet.convenience import StopServe as StopServe
from eventlet.timeout import Timeout as Timeout
TimeoutError = Timeout
from eventlet.greenthread import call_after_global as call_after_global
from eventlet.convenience import connect as connect
from eventlet.greenthread import exc_after as exc_after
from eventlet.greenthread import getcurrent as getcurrent
from eventlet.patcher import import_patched as import_patched
from eventlet.timeout import is_timeout as is_timeout
from eventlet.greenthread import kill as kill
from eventlet.convenience import listen as listen
from eventlet.patcher import monkey_patch as monkey_patch
from eventlet.convenience import serve as serve
from eventlet.greenthread import sleep as sleep
from eventlet.greenthread import spawn as spawn
from eventlet.greenthread import spawn_after as spawn_after
from eventlet.greenthread import spawn_n as spawn_n
from eventlet.hubs import use_hub as use_hub
from eventlet.timeout import with_timeout as with_timeout
from eventlet.timeout import wrap_is_timeout as wrap_is_timeout
from eventlet.convenience import wrap_ssl as wrap_ssl
from eventlet_asyncio._overlay.eventlet import (
    EventletDeprecationWarning as EventletDeprecationWarning,
    __version__ as __version__,
    version_info as version_info,
)
