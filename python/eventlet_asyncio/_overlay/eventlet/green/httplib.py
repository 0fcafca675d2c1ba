"""The module `http.client` on green sockets, under its old name."""

from eventlet.green.http import client as _client
from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(
    _client, globals(), srckeys=[n for n in dir(_client) if n[:2] != "__"]
)
__all__ = list(_client.__all__)
__patched__ = ["HTTPConnection", "HTTPSConnection"]
