"""The module `urllib.error`, which has nothing that waits."""

from urllib.error import *  # noqa: F403
from urllib.error import __all__ as __all__
