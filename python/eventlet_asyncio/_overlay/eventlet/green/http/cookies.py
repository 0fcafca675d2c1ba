"""The module `http.cookies`, which has nothing that waits."""

from http.cookies import *  # noqa: F403
from http.cookies import __all__ as __all__
