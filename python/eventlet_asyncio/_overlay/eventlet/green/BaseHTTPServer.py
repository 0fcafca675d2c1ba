"""The module `http.server` on green sockets, under its old name."""

from eventlet.green.http import server as _server
from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(
    _server, globals(), srckeys=[n for n in dir(_server) if n[:2] != "__"]
)
__all__ = list(_server.__all__)
