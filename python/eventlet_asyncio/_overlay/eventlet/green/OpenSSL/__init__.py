"""The package `OpenSSL` (pyOpenSSL) on green sockets."""

from OpenSSL import crypto, version

from eventlet.green.OpenSSL import SSL

__all__ = ["SSL", "crypto", "version"]
