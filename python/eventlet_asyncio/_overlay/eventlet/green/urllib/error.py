"""The module `urllib.error`, which has nothing that waits."""

import urllib.error as _standard

from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(_standard, globals())
