"""
The module `asynchat` on green sockets.

CPython has it up to 3.11.
"""

import warnings as _warnings

from eventlet._patch.copies import derive as _derive

with _warnings.catch_warnings():
    _warnings.simplefilter("ignore", DeprecationWarning)
    _derive(globals(), "asynchat")
