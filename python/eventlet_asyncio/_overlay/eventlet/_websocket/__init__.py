"""
The WebSocket protocol without sockets.

`handshake` answers an upgrade request, `session` is one side of a connection (RFC 6455),
`deflate` its compression (RFC 7692), `legacy` the drafts from before the standard. What
these are given are bytes and the headers of a request, what they return are bytes and
messages: they are tested without a server. `eventlet.websocket` brings them together with
green sockets.
"""
