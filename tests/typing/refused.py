"""Mistakes, and what mypy calls them. Read by type checkers, never run."""

import eventlet
import eventlet.wsgi
from eventlet.green import socket, time

eventlet.sleep("x")  # error: arg-type
eventlet.spawn(3)  # error: arg-type
eventlet.GreenPool("many")  # error: arg-type
eventlet.Semaphore().acquire(timeout="x")  # error: arg-type
eventlet.nonsense  # error: attr-defined
eventlet.hubs.use_hub(3.5)  # error: arg-type
eventlet.wsgi.server()  # error: call-arg
socket.socket().recv("x")  # error: arg-type
socket.nonsense  # error: attr-defined
time.sleep("x")  # error: arg-type
