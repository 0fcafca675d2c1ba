"""The module `urllib.parse`, which has nothing that waits."""

from urllib.parse import *  # noqa: F403
from urllib.parse import __all__ as __all__
