"""
The module `selectors` with selectors that are cooperative.

As upstream's, `DefaultSelector` is `SelectSelector`, whatever else there is.
"""

from eventlet._patch.copies import derive as _derive
from eventlet.green.select import select as _green_select

__patched__ = [
    "DefaultSelector",
    "EpollSelector",
    "PollSelector",
    "SelectSelector",
]

_derive(globals(), "selectors", keep=("SelectorKey",))
# The class takes `select.select` for its own; a Python function would become a method.
SelectSelector._select = staticmethod(_green_select)  # type: ignore[name-defined]  # noqa: F821
DefaultSelector = SelectSelector  # type: ignore[name-defined]  # noqa: F821
