"""The part of `http.server` that serves files, under its old name."""

from eventlet.green.http.server import SimpleHTTPRequestHandler, test

__all__ = ["SimpleHTTPRequestHandler", "test"]
