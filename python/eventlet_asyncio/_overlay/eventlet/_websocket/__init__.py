"""
The parts of `eventlet.websocket`.

Without sockets: `handshake` answers an upgrade request, `session` is one side of a
connection (RFC 6455), `deflate` its compression (RFC 7692), `legacy` the drafts from before
the standard. They are given bytes and the headers of a request, and return bytes and
messages, so they are tested without a server. On green sockets: `connection`, `rfc6455`.
"""
