"""The module `urllib.parse`, which has nothing that waits."""

import urllib.parse as _standard

from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(_standard, globals())
