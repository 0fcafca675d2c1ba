"""The module `urllib.response`, which has nothing that waits."""

from urllib.response import *  # noqa: F403
from urllib.response import __all__ as __all__
