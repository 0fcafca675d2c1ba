"""The module `OpenSSL.version`, which has nothing that waits."""

from OpenSSL.version import *  # noqa: F403
