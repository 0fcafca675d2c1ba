"""
The module `urllib.request` on green sockets, under its old name.

With the exceptions, as the old module had them.
"""

from urllib.error import HTTPError, URLError

from eventlet.green.urllib import request as _request
from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(
    _request, globals(), srckeys=[n for n in dir(_request) if n[:2] != "__"]
)
__all__ = list(_request.__all__)
__all__ += ["HTTPError", "URLError"]
