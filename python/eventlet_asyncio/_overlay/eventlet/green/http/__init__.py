"""The package `http` on green sockets."""

from http import *  # noqa: F403 - the standard package itself has nothing that waits
from http import __all__ as __all__
