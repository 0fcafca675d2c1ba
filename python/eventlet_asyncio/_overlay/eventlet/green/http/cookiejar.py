"""The module `http.cookiejar` with green locks."""

from eventlet._patch.copies import derive as _derive

_derive(globals(), "http.cookiejar")
