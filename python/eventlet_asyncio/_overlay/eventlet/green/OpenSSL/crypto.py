"""The module `OpenSSL.crypto`, which has nothing that waits."""

import OpenSSL.crypto as _standard

from eventlet.patcher import slurp_properties as _slurp_properties

_slurp_properties(_standard, globals())
