"""The module `OpenSSL.version`, which has nothing that waits."""

import OpenSSL.version as _standard

from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(_standard, globals())
