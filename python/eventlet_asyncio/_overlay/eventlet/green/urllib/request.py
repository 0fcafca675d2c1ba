"""The module `urllib.request` on green sockets."""

from eventlet._patch.copies import derive as _derive

_derive(globals(), "urllib.request")
