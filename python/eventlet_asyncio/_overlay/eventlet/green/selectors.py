"""
The module `selectors` with the one selector that is cooperative.

Without `poll` and its like in `eventlet.green.select`, the module itself leaves their
selectors out and takes `SelectSelector` for the default.
"""

from eventlet._patch.copies import derive as _derive
from eventlet.green.select import select as _green_select

__patched__ = [
    "DefaultSelector",
    "SelectSelector",
]

_derive(globals(), "selectors", keep=("SelectorKey",))
# The class takes `select.select` for its own; a Python function would become a method.
SelectSelector._select = staticmethod(_green_select)  # type: ignore[name-defined]  # noqa: F821
