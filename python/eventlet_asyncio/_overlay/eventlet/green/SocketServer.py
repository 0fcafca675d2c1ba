"""The module `socketserver` on green sockets and threads."""

from eventlet._patch.copies import derive as _derive

_derive(globals(), "socketserver")
