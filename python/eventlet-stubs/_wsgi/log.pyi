# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet._wsgi.log import (
    LoggerFileWrapper as LoggerFileWrapper,
    LoggerNull as LoggerNull,
    get_logger as get_logger,
    note as note,
)
