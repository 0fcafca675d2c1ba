"""The module `time`, with a `sleep` that lets other green threads run."""

from eventlet._patch.copies import borrow as _borrow
from eventlet._patch.inject import slurp_properties
from eventlet.greenthread import sleep as _sleep

__patched__ = ["sleep"]


def sleep(seconds: float = 0) -> None:
    """
    Let other green threads run for `seconds`. Switch point.

    Raises:
        ValueError: If `seconds` is negative.
    """
    if seconds < 0:
        message = "sleep length must be non-negative"
        raise ValueError(message)
    _sleep(seconds)


_borrow(globals(), "time")
