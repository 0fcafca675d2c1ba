# Written by tools/stubs.py.
from eventlet_asyncio._overlay.eventlet.green.SimpleHTTPServer import (
    SimpleHTTPRequestHandler as SimpleHTTPRequestHandler,
    test as test,
)
from http.server import *
from eventlet_asyncio._overlay.eventlet.green.SimpleHTTPServer import (
    SimpleHTTPRequestHandler as SimpleHTTPRequestHandler,
    test as test,
)
