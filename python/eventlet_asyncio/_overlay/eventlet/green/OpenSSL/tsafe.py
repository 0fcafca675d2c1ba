"""
The module `OpenSSL.tsafe`: connections that several threads may use.

A green connection is one already, as only one green thread runs at a time.
"""

from eventlet.green.OpenSSL.SSL import Connection

__all__ = ["Connection"]
