"""The module `OpenSSL.crypto`, which has nothing that waits."""

from OpenSSL.crypto import *  # noqa: F403
