"""The module `http.cookies`, which has nothing that waits."""

import http.cookies as _standard

from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(_standard, globals())
