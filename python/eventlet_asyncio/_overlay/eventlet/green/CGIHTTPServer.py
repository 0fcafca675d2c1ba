"""
The part of `http.server` that runs programs, under its old name.

CPython has it up to 3.14.
"""

from eventlet.green.http import server as _server

try:
    CGIHTTPRequestHandler = _server.CGIHTTPRequestHandler
except AttributeError:
    _message = "this interpreter's http.server has no CGIHTTPRequestHandler any more"
    raise ImportError(_message) from None

__all__ = ["CGIHTTPRequestHandler"]
